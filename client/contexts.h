#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace hutch::client {

/// A daemon as the user calls it.
struct Context {
    std::string host;     ///< as --host
    std::string api_key;  ///< empty: none, as over a Unix socket
    std::string ca_file;  ///< as --ca-file; empty: the system's
};

/// What the configuration file holds: $XDG_CONFIG_HOME/hutch/config, or ~/.config/hutch/config.
struct Contexts {
    static constexpr const char* kDefault = "default";  ///< the host's own daemon; always there, and not in the file

    std::map<std::string, Context> all;
    std::string current = kDefault;

    /// Empty where there is no file. A file that others may read is refused, since there are keys in it.
    static Result<Contexts> load();
    /// Replaces the file by one that only its owner reads, when the new one is whole.
    [[nodiscard]] Result<void> save() const;
    /// kInvalid, naming those that are there, if none is called so.
    [[nodiscard]] Result<Context> find(const std::string& name) const;
};

/// A variable of our own environment; "" if it is not there.
std::string environment(const char* name);

}  // namespace hutch::client
