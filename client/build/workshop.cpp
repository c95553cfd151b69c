#include "client/build/workshop.h"

#include <unistd.h>

#include <algorithm>

#include "archives/pack.h"
#include "client/build/context.h"
#include "client/host.h"
#include "client/interrupts.h"
#include "client/program.h"
#include "client/relay.h"

namespace hutch::client {
namespace {

constexpr int kLongestBuild = 24 * 3600;  // seconds; a box of ours that nobody could delete goes then
constexpr const char* kLabel = "image-build";

bool is_number(const std::string& text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Field `field` of the line of /etc/passwd or /etc/group whose first is `name`, or whose third is.
std::optional<std::string> field_of(const std::string& text, const std::string& name, size_t field) {
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        std::vector<std::string> fields(1);
        for (const char c : std::string_view(text).substr(at, end - at)) {
            if (c == ':') {
                fields.emplace_back();
            } else {
                fields.back() += c;
            }
        }
        at = end + 1;
        if (fields.size() > field && fields.size() > 2 && (fields[0] == name || fields[2] == name))
            return fields[field];
    }
    return std::nullopt;
}

}  // namespace

Result<void> Workshop::open(const BuildFiles& files) {
    if (is_open()) return {};
    Json body = {{"ephemeral", true}, {"ttl", kLongestBuild}, {"labels", {kLabel}}};
    const bool snapshot = !files.snapshot.empty();
    if (snapshot) {
        body["snapshot_id"] = files.snapshot;
    } else {
        body["runtime"] = files.image;
    }
    const HeldSignals held;  // who interrupts us now would leave a box that nobody knows of
    box_ = text_of(TRY(api_.call("POST", snapshot ? "/v2/box/from-snapshot" : "/v2/box", body)), "id");
    return afterwards_.tell(box_ + "\n");
}

Result<void> Workshop::close() {
    if (!is_open()) return {};
    const auto removed = api_.call("DELETE", box_target(std::exchange(box_, {})));
    if (!removed.ok() && removed.error().kind != ErrorKind::kNotFound) return removed.error();
    return {};
}

// Names that a call may not give a value go by env(1).
Result<int> Workshop::run(const StepCommand& command) {
    Json env = Json::object();
    std::vector<std::string> argv{"env"};
    for (const auto& [name, value] : command.env) {
        const bool reserved = name == "PATH" || name == "HOME" || name == "LD_PRELOAD" || name == "LD_LIBRARY_PATH" ||
                              name == "NODE_OPTIONS" || !is_variable_name(name);
        if (reserved) {
            argv.push_back(name + "=" + value);
        } else {
            env[name] = value;
        }
    }
    if (argv.size() == 1) argv.clear();
    argv.insert(argv.end(), command.argv.begin(), command.argv.end());
    const auto interrupts = TRY(Interrupts::begin(api_, box_));
    Request request{.method = "POST", .target = box_target(box_, "/exec-stream"), .content_type = "application/json"};
    const Json body = {{"command", argv}, {"user", command.user}, {"folder", command.folder}, {"env", env}};
    request.body = TRY(dump_json(body));
    Response response = TRY(api_.open(request));
    interrupts->mean(response.header("X-Run-Id"));
    return exit_code_of(TRY(relay(response, STDERR_FILENO)));
}

Result<void> Workshop::unpack(const std::string& folder, BodySource archive, const CopiedAs& as) {
    std::string query = "?folder=" + percent_encode(folder) + "&owner=" + percent_encode(as.owner);
    if (!as.mode.empty()) query += "&mode=" + percent_encode(as.mode);
    const Json answer = TRY(api_.exchange({.method = "POST",
                                           .target = box_target(box_, "/files/upload" + query),
                                           .content_type = "application/x-tar",
                                           .source = std::move(archive)}));
    const std::string first = text_of(answer, "first_left_out");
    if (!first.empty()) return Error{ErrorKind::kSystem, 0, "cannot be copied: " + first};
    return {};
}

// By an archive of nothing, since a directory of a step is root's.
Result<void> Workshop::make_directory(const std::string& path) {
    const auto nothing = std::make_shared<std::string>(1024, '\0');
    return unpack(
        path,
        [nothing, sent = false]() mutable -> Result<std::string_view> {
            return std::exchange(sent, true) ? std::string_view() : std::string_view(*nothing);
        },
        CopiedAs());
}

Result<Workshop::Kind> Workshop::kind_of(const std::string& path) {
    const auto found = api_.get(box_target(box_, "/files/stat?follow=true&path=" + percent_encode(path)));
    if (!found.ok() && found.error().kind == ErrorKind::kNotFound) return Kind::kNone;
    const std::string type = text_of(TRY(found), "type");
    if (type == "directory") return Kind::kDirectory;
    return type == "file" ? Kind::kFile : Kind::kOther;
}

Result<std::vector<std::string>> Workshop::names_in(const std::string& path) {
    const Json listing = TRY(api_.get(box_target(box_, "/files/list?folder=" + percent_encode(path))));
    std::vector<std::string> names;
    for (const Json& file : array_of(listing, "files")) names.push_back(text_of(file, "name"));
    return names;
}

Result<void> Workshop::remove(const std::string& path) {
    TRY(api_.call("POST", box_target(box_, "/files/remove"), {{"path", path}, {"recursive", true}}));
    return {};
}

Result<Response> Workshop::download(const std::string& path) {
    const std::string query = "/files/download?exact=true&folder=" + percent_encode(path);
    return api_.open({.method = "GET", .target = box_target(box_, query)});
}

Result<std::string> Workshop::number_of(const std::string& name, const char* file, size_t field) {
    const auto read = api_.get(box_target(box_, "/files/read?path=" + percent_encode(file)));
    const auto found = read.ok() ? field_of(text_of(read.value(), "content"), name, field) : std::nullopt;
    if (found) return *found;
    if (is_number(name)) return name;
    return invalid("\"" + name + "\" is not in the image's " + file + "; make it before, or give its number");
}

Result<std::string> Workshop::owner_of(const std::string& text) {
    const size_t colon = text.find(':');
    const std::string user = text.substr(0, colon);
    constexpr const char* kUsers = "/etc/passwd";
    const std::string uid = is_number(user) ? user : TRY(number_of(user, kUsers, 2));
    if (colon == std::string::npos) return uid + ":" + (is_number(user) ? user : TRY(number_of(user, kUsers, 3)));
    const std::string group = text.substr(colon + 1);
    return uid + ":" + (is_number(group) ? group : TRY(number_of(group, "/etc/group", 2)));
}

Result<std::string> Workshop::snapshot(const std::string& name) {
    return text_of(TRY(api_.call("POST", box_target(box_, "/snapshots"), {{"name", name}})), "id");
}

int remove_workshops(const Api& api, const std::string& boxes) {
    int code = 0;
    for (size_t at = 0; at < boxes.size();) {
        const size_t end = std::min(boxes.find('\n', at), boxes.size());
        const std::string box = boxes.substr(at, end - at);
        at = end + 1;
        const auto removed = api.call("DELETE", box_target(box));
        if (removed.ok() || removed.error().kind == ErrorKind::kNotFound) continue;
        complain("box " + box + " is still there: " + removed.error().message);
        code = kExecFailed;
    }
    return code;
}

}  // namespace hutch::client
