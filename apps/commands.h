#pragma once
// The subcommands. Each function declares one under `root`; its callback does the work, throws
// impasto::Error for a failure, and sets `exit_code` where the outcome is neither.
namespace CLI {
class App;
}

namespace impasto::apps {

void add_render(CLI::App& root, int& exit_code);
void add_batch(CLI::App& root, int& exit_code);
void add_plan(CLI::App& root, int& exit_code);
void add_weights(CLI::App& root, int& exit_code);
void add_devices(CLI::App& root, int& exit_code);
void add_bench(CLI::App& root, int& exit_code);
void add_selftest(CLI::App& root, int& exit_code);

}  // namespace impasto::apps
