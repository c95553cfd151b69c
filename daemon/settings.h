#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "daemon/config.h"

namespace hutch::daemon {

enum class Subcommand { kServe, kDoctor, kCheckConfig, kExampleConfig, kHelp, kVersion };

constexpr const char* kConfigFile = "/etc/hutch/hutchd.toml";

/// What the command line and the configuration file say.
struct Settings {
    Subcommand subcommand = Subcommand::kServe;
    Config config;
    /// Of each option that was set: "command line", or the file and its line.
    std::map<std::string, std::string> origins;
    /// Each a sentence that names the option, what it was given and what is allowed; with one of them, `config` is not
    /// what the operator meant.
    std::vector<std::string> problems;
};

/// Reads the arguments (without the program's name), then the file that they name with --config, else kConfigFile,
/// which may be missing. The command line wins. The file must belong to root and be closed to others' writing.
Settings read_settings(std::span<const char* const> arguments);

/// The configuration in force as TOML, each option with where it comes from. Of secrets it has the paths alone.
std::string describe(const Settings& settings);
/// Every option with its help text and default, as a file to begin with.
std::string example_config();
std::string help_text();

}  // namespace hutch::daemon
