#include "client/contexts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "base/ids.h"
#include "base/undo.h"
#include "client/api.h"
#include "client/host.h"
#include "client/place.h"

namespace hutch::client {
namespace {

/// "" where the user has no place for it.
std::string directory() {
    const std::string config = environment("XDG_CONFIG_HOME");
    if (config.starts_with('/'))
        return join_path(config, "hutch");  // a relative one is to be ignored, its standard says
    const std::string home = environment("HOME");
    return home.starts_with('/') ? join_path(home, ".config/hutch") : "";
}

Result<std::string> read_private(const UniqueFd& file, const std::string& path) {
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return errno_error("looking at " + path);
    if ((status.st_mode & 077U) != 0) {
        return Error{ErrorKind::kForbidden, 0,
                     path + " holds keys, and others may read it; use `chmod 600 " + path + "`"};
    }
    return read_all(file.get(), path);
}

}  // namespace

std::string environment(const char* name) {
    const char* value = getenv(name);
    return value == nullptr ? "" : value;
}

Result<Contexts> Contexts::load() {
    Contexts contexts;
    const std::string path = join_path(directory(), "config");
    if (directory().empty()) return contexts;
    const auto file = open_at(AT_FDCWD, path, O_RDONLY);
    if (!file.ok() && (file.error().code == ENOENT || file.error().code == ENOTDIR)) return contexts;
    if (!file.ok()) return file.error();
    const Json config = parse_json(TRY(read_private(file.value(), path)));
    if (!config.is_object()) return Error{ErrorKind::kSystem, 0, path + " is not the JSON that `hutch context` writes"};
    if (const std::string current = text_of(config, "current"); !current.empty()) contexts.current = current;
    const Json all = object_of(config, "contexts");
    for (const auto& [name, context] : all.items()) {
        contexts.all[name] = {text_of(context, "host"), text_of(context, "api_key"), text_of(context, "ca_file")};
    }
    return contexts;
}

Result<void> Contexts::save() const {
    const std::string path = directory();
    if (path.empty())
        return Error{ErrorKind::kSystem, 0, "there is no place for contexts; set HOME or XDG_CONFIG_HOME"};
    Json config{{"current", current}, {"contexts", Json::object()}};
    for (const auto& [name, context] : all) {
        Json& entry = config["contexts"][name] = {{"host", context.host}};
        if (!context.api_key.empty()) entry["api_key"] = context.api_key;
        if (!context.ca_file.empty()) entry["ca_file"] = context.ca_file;
    }
    const std::string text = TRY(dump_json(config)) + "\n";
    TRY(make_dirs_at(AT_FDCWD, path, 0700));
    const UniqueFd there = TRY(open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY));
    const std::string partial = ".config-" + random_id();
    const UniqueFd file = TRY(open_at(there.get(), partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    Undo remove([&] { unlinkat(there.get(), partial.c_str(), 0); });
    TRY_IN("writing " + join_path(path, "config"), write_all(file.get(), text));
    if (fsync(file.get()) != 0) return errno_error("writing " + join_path(path, "config"));
    if (renameat(there.get(), partial.c_str(), there.get(), "config") != 0) {
        return errno_error("renaming " + partial + " to config in " + path);
    }
    remove.commit();
    return {};
}

Result<Context> Contexts::find(const std::string& name) const {
    if (name == kDefault) return Context{std::string(kDefaultHost), "", ""};
    const auto found = all.find(name);
    if (found != all.end()) return found->second;
    std::string known = kDefault;
    for (const auto& [other, context] : all) known += ", " + other;
    return invalid("there is no context \"" + name + "\"; there are: " + known);
}

}  // namespace hutch::client
