#include "apps/help.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "apps/declare.h"
#include "apps/text.h"

namespace impasto::apps {
namespace {

constexpr std::size_t kWidth = 100;  // columns of a line of help
constexpr std::size_t kColumn = 28;  // where descriptions begin
constexpr const char* kHidden = "";  // CLI11: a group without a name is not shown

std::vector<const CLI::Option*> positionals(const CLI::App& app) {
  return app.get_options([](const CLI::Option* o) { return o->get_positional(); });
}

std::vector<const CLI::Option*> options(const CLI::App& app, const std::string& group) {
  return app.get_options([&](const CLI::Option* o) { return o->nonpositional() && o->get_group() == group; });
}

/// Only the groups that have an option, in the order of declaration, --help's last.
std::vector<std::string> groups(const CLI::App& app) {
  std::vector<std::string> names;
  for (const std::string& group : app.get_groups()) {
    if (group != kHidden && !options(app, group).empty()) names.push_back(group);
  }
  std::stable_partition(names.begin(), names.end(), [](const std::string& g) { return g != kOptions; });
  return names;
}

/// "-o, --output FILE"
std::string heading(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true, false);
  std::string text;
  for (const std::string& name : option.get_snames()) text += (text.empty() ? "-" : ", -") + name;
  for (const std::string& name : option.get_lnames()) text += (text.empty() ? "--" : ", --") + name;
  if (!option.get_option_text().empty()) text += " " + option.get_option_text();
  return text;
}

std::string usage(const CLI::App& app, const std::string& name) {
  std::string text = name;
  for (const CLI::Option* p : positionals(app)) {
    std::string one = p->get_name(true, false);
    if (p->get_expected_max() > 1) one += " [" + one + "...]";
    text += p->get_required() ? " " + one : " [" + one + "]";
  }
  if (!subcommands(app).empty()) text += " COMMAND";
  return text + " [OPTIONS]";
}

void add_entry(std::string& out, const std::string& left, const std::string& right) {
  std::string line = "  " + left;
  if (line.size() >= kColumn) {
    out += line + '\n';
    line.clear();
  }
  for (const std::string& part : wrap(right, kWidth - kColumn)) {
    line.resize(kColumn, ' ');
    out += line + part + '\n';
    line.clear();
  }
}

std::string full_name(const CLI::App& app) {
  return app.get_parent() ? full_name(*app.get_parent()) + " " + app.get_name() : app.get_name();
}

/// Text of a manual page: backslashes, hyphens that are typed, and a leading dot or quote.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (out.empty() && (c == '.' || c == '\'')) {
      out += std::string("\\&") + c;
    } else {
      out += c;
    }
  }
  return out;
}

void add_man_section(std::string& out, const CLI::App& app) {
  out += ".SH " + roff(full_name(app)) + "\n" + roff(app.get_description()) + ".\n.PP\n.B " +
         roff(usage(app, full_name(app))) + "\n";
  for (const CLI::Option* p : positionals(app)) {
    out += ".TP\n.I " + roff(heading(*p)) + "\n" + roff(p->get_description()) + "\n";
  }
  for (const std::string& group : groups(app)) {
    out += ".SS " + roff(group) + "\n";
    for (const CLI::Option* o : options(app, group)) {
      out += ".TP\n.B " + roff(heading(*o)) + "\n" + roff(o->get_description()) + "\n";
    }
  }
  std::istringstream footer(app.get_footer());
  if (!app.get_footer().empty()) out += ".PP\n.nf\n";
  for (std::string line; std::getline(footer, line);) out += roff(line) + "\n";
  if (!app.get_footer().empty()) out += ".fi\n";
  for (const CLI::App* sub : subcommands(app)) add_man_section(out, *sub);
}

/// Levenshtein's distance.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

/// " (perhaps --size)" for the nearest name that differs in at most two letters.
std::string suggestion(const std::string& word, const std::vector<std::string>& names) {
  std::size_t best = 3;
  std::string found;
  for (const std::string& name : names) {
    if (const std::size_t d = distance(word, name); d < best) {
      best = d;
      found = name;
    }
  }
  return found.empty() ? "" : " (perhaps " + found + ")";
}

/// The subcommand that was asked for, at any depth.
const CLI::App& innermost(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : innermost(*chosen.front());
}

}  // namespace

std::vector<const CLI::App*> subcommands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* sub) { return sub->get_group() != kHidden; });
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string /*name*/, CLI::AppFormatMode) const {
  std::string out = "Usage: " + usage(*app, full_name(*app)) + "\n" + app->get_description() + ".\n";
  const auto subs = subcommands(*app);
  if (!subs.empty()) out += "\nCommands:\n";
  for (const CLI::App* sub : subs) add_entry(out, sub->get_name(), sub->get_description());
  if (!positionals(*app).empty()) out += '\n';
  for (const CLI::Option* p : positionals(*app)) add_entry(out, heading(*p), p->get_description());
  for (const std::string& group : groups(*app)) {
    out += "\n" + group + ":\n";
    for (const CLI::Option* o : options(*app, group)) add_entry(out, heading(*o), o->get_description());
  }
  if (!app->get_footer().empty()) out += "\n" + app->get_footer() + "\n";
  return out;
}

std::string man_page(const CLI::App& root, const std::string& version) {
  std::string out = ".TH IMPASTO 1 \"\" \"Impasto " + version +
                    "\" \"User Commands\"\n.SH NAME\nimpasto \\- " + roff(root.get_description()) +
                    "\n.SH SYNOPSIS\n";
  for (const CLI::App* sub : subcommands(root)) out += ".B " + roff(usage(*sub, full_name(*sub))) + "\n.br\n";
  for (const CLI::App* sub : subcommands(root)) add_man_section(out, *sub);
  out +=
      ".SH EXIT STATUS\n"
      ".TP\n.B 0\ndone\n.TP\n.B 1\ninternal error, or a selftest that failed\n.TP\n.B 2\nusage\n"
      ".TP\n.B 3\na picture, weight file, checkpoint or output place cannot be used\n"
      ".TP\n.B 4\nnot enough memory, or no such device\n"
      ".TP\n.B 5\na batch in which some entries failed; the others are done\n"
      ".TP\n.B 75\ninterrupted; a checkpoint was written, the render can be resumed, the same batch goes on\n"
      ".TP\n.B 130\ninterrupted without a checkpoint\n"
      ".PP\nEvery failure is one line on standard error: impasto: error: WHAT: EXPECTED, FOUND.\n"
      ".SH ENVIRONMENT\n"
      ".TP\n.B IMPASTO_WEIGHTS\na weight file, or a folder of weight files, that is searched first\n"
      ".TP\n.B SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, PBS_ARRAY_INDEX\nthe part that a batch does\n"
      ".TP\n.B XDG_DATA_HOME\nholds impasto/, where fetched weights are kept (~/.local/share)\n";
  return out;
}

bool lacks_only_a_command(const CLI::App& root, const CLI::ParseError& error) {
  return dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
         !subcommands(innermost(root)).empty() && root.remaining(true).empty();
}

std::string explain(const CLI::App& root, const CLI::ParseError& error) {
  const CLI::App& app = innermost(root);
  const std::string where = "'" + full_name(app) + "'";
  std::vector<std::string> names;
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) {
    const std::vector<std::string> extras = root.remaining(true);
    const std::string word = extras.empty() ? "?" : extras.front().substr(0, extras.front().find('='));
    if (word.size() > 1 && word.front() == '-') {
      for (const CLI::Option* o : app.get_options()) {
        for (const std::string& name : o->get_lnames()) names.push_back("--" + name);
      }
      return word + ": expected an option of " + where + ", found none of that name" +
             suggestion(word, names);
    }
    for (const CLI::App* sub : subcommands(app)) names.push_back(sub->get_name());
    if (names.empty())
      return word + ": expected options only after the operands of " + where + ", found one more";
    return word + ": expected a command of " + where + ", found none of that name" + suggestion(word, names);
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error)) {
    for (const CLI::Option* o : app.get_options()) {
      if (o->get_required() && o->count() == 0) {
        return heading(*o) + ": expected by " + where + ", found nothing (see " + full_name(app) + " --help)";
      }
    }
    for (const CLI::App* sub : subcommands(app)) names.push_back(sub->get_name());
    for (const std::string& word : root.remaining(true)) {
      return word + ": expected a command of " + where + ", found none of that name" +
             suggestion(word, names);
    }
    return "command: expected one of " + where + ", found nothing";  // not asked: lacks_only_a_command
  }
  for (const CLI::Option* o : app.get_options()) {
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) &&
        std::string(error.what()).rfind(o->get_name(), 0) == 0 && !o->get_lnames().empty()) {
      return "--" + o->get_lnames().front() + ": expected " +
             (o->get_option_text().empty() ? "no value" : "a value " + o->get_option_text()) + ", found " +
             (o->get_option_text().empty() ? "one" : "none");
    }
  }
  return std::string("options: expected ") + where + " as --help shows it, found: " + error.what();
}

}  // namespace impasto::apps
