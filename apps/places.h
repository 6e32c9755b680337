#pragma once
// Where a render may write, checked before the long work begins.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/new_file.h"

namespace impasto::apps {

struct Place {
  std::string what;            ///< "output", "trace", ...
  std::filesystem::path path;  ///< empty: not asked for
};

/// Error(kBadInput) for an input that is not there or is a folder.
void require_inputs(const std::vector<Place>& inputs);

/// Error(kBadInput) unless a file can be made at this place: its folder, or that of the file that links lead
/// to, is there and can be written (tried with a file that is removed at once), the name is not too long, and
/// nothing stands there that must be kept.
void require_writable(const Place& output, Existing existing);

/// The same, and the place is this process's until the claim goes; null where none was asked for.
/// Error(kBadInput) naming the process that has it.
[[nodiscard]] std::unique_ptr<Claim> claim(const Place& output, Existing existing);

/// As require_writable for what is written bit by bit: it may be a terminal, a pipe or a device of
/// characters, and is a standard stream where its name says so.
void require_stream(const Place& output, Existing existing);

/// The descriptor that /dev/stdout, /dev/stderr and /dev/fd/N are; -1 for any other name.
[[nodiscard]] int standard_stream(const std::filesystem::path& path);

/// By what it is known that two places are the same file, whether or not a file is there yet and whatever
/// links lead to it: they have one of these in common.
[[nodiscard]] std::vector<std::string> identities(const Place& place);
/// "output 'x.png'"
[[nodiscard]] std::string name_of(const Place& place);

/// Error(kUsage) if two of the outputs, or an output and an input, are the same file.
void require_distinct(const std::vector<Place>& outputs, const std::vector<Place>& inputs);

/// "folder/out.png", 50 -> "folder/out-000050.png"
[[nodiscard]] std::filesystem::path numbered(const std::filesystem::path& output, long long number);

/// The numbered pictures of a render: each multiple of `every` above `after`, up to `last`.
struct NumberedPlaces {
  std::filesystem::path output;
  long long every = 1, after = 0, last = 0;
};
/// Error(kUsage) if one of them is also one of the others, whatever links lead there; Error(kBadInput) as of
/// require_writable. Looks at the files that there are, not at the names that there may be.
void require_numbered(const NumberedPlaces& places, const std::vector<Place>& others, Existing existing);

/// Where a partial picture (picture_mark.h) goes, so that it replaces no finished one and no input: the
/// output's place, or the first of out-partial.png, out-partial-2.png, ... that is free, or, where partial
/// ones may be replaced, that holds one.
struct PartialPlace {
  std::filesystem::path path;
  Existing existing = Existing::kKeep;  ///< kReplace: of a partial picture that is there
};
[[nodiscard]] PartialPlace partial_place(const std::filesystem::path& output, Existing partial,
                                         const std::vector<Place>& inputs);

}  // namespace impasto::apps
