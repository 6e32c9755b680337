#pragma once
// Every option of StyleOptions, once. The command line, --help, the manual page, shell completion,
// descriptions (checkpoints, metadata of pictures) and set_option() are made from these rows; a new option is
// a member of its struct and a row.
#include <string>
#include <vector>

#include "engine/options/option.h"
#include "engine/options/options.h"

namespace impasto {

using StyleOption = Option<StyleOptions>;

/// The group of the options that say what is minimised, and of those that change speed and rounding only.
inline constexpr const char* kObjectiveGroup = "Objective";
inline constexpr const char* kMachineGroup = "Machine";

/// In the order in which help shows them, group by group.
[[nodiscard]] const std::vector<StyleOption>& option_table();

/// Error(kUsage), naming all that there are, for another name.
[[nodiscard]] const StyleOption& find_option(const std::string& name);

}  // namespace impasto
