#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/toml.h"

namespace hutch::daemon {

/// One thing that an operator may set: by --NAME VALUE, or by NAME = VALUE in the configuration file.
struct Setting {
    std::string name;
    TomlType type;
    std::string help;     ///< what it is, as half a sentence
    std::string allowed;  ///< what a value must be: "a whole number from 1 to 64"
    /// Takes the value into the Config; false, and nothing taken, for one that is not allowed.
    std::function<bool(const std::string&)> set;
    /// What the Config has now, as TOML; empty for a text that is not set.
    std::function<std::string()> get;
};

/// All of them, in the order of the example file. They are bound to `config`, which must outlive them.
std::vector<Setting> options_of(Config& config);

}  // namespace hutch::daemon
