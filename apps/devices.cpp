// impasto devices: each backend, usable or why not.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/declare.h"
#include "apps/text.h"
#include "engine/backend/devices.h"
#include "engine/core/text.h"

namespace impasto::apps {
namespace {

using Json = nlohmann::ordered_json;

struct DevicesArguments {
  bool json = false;
};

void print_json(const std::vector<DeviceStatus>& devices) {
  Json list = Json::array();
  for (const auto& [info, unusable_because] : devices) {
    Json precisions = Json::array();
    for (const Precision p : info.precisions) precisions.push_back(to_string(p));
    list.push_back({{"name", info.name},
                    {"description", info.description},
                    {"usable", unusable_because.empty()},
                    {"unusable_because", unusable_because},
                    {"free_memory_bytes", info.free_memory_bytes},
                    {"precisions", precisions}});
  }
  std::puts(list.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

void print_table(const std::vector<DeviceStatus>& devices) {
  Table table(4);
  table.add({"device", "free memory", "precisions", "what it is"});
  for (const auto& [info, unusable_because] : devices) {
    std::string precisions;
    for (const Precision p : info.precisions)
      precisions += (precisions.empty() ? "" : ",") + std::string(to_string(p));
    if (unusable_because.empty()) {
      table.add({info.name, format_bytes(static_cast<double>(info.free_memory_bytes)), precisions,
                 info.description});
    } else {
      table.add({info.name, "-", "-", "not usable: " + unusable_because});
    }
  }
  std::fputs(table.text().c_str(), stdout);
}

}  // namespace

void add_devices(CLI::App& root, int& /*exit_code*/) {
  CLI::App* const app = root.add_subcommand("devices", "List the backends, and why one is not usable");
  const auto a = std::make_shared<DevicesArguments>();
  declare(*app,
          Option<DevicesArguments>{"json", kOptions, "", "print JSON instead of a table",
                                   OptionValues<DevicesArguments>::boolean(&DevicesArguments::json)},
          *a);
  app->callback([a] { a->json ? print_json(list_devices()) : print_table(list_devices()); });
}

}  // namespace impasto::apps
