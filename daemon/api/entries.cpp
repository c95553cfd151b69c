// What stands in a box's directories: looked at, made, moved, removed.

#include <fmt/core.h>
#include <sys/stat.h>

#include "daemon/api/resources.h"
#include "daemon/clock.h"
#include "daemon/files/files.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr uint64_t kMostRemoved = 1'000'000;
constexpr uint64_t kRemovedInATurn = 10'000;  // then others have theirs

const char* kind_name(const struct stat& status) {
    if (S_ISREG(status.st_mode)) return "file";
    if (S_ISDIR(status.st_mode)) return "directory";
    return S_ISLNK(status.st_mode) ? "symlink" : "other";
}

/// Another one after each change, of content or of attributes.
std::string version_of(const struct stat& status) {
    const auto changed = static_cast<int64_t>(status.st_ctim.tv_sec) * 1'000'000'000 + status.st_ctim.tv_nsec;
    return fmt::format("{:x}-{:x}-{:x}", status.st_ino, changed, status.st_size);
}

// Of a box that stands still it is looked at as it stands.
Answer stat_entry(Services& services, Exchange& exchange, const Params& params) {
    const std::string path = query_text(exchange, "path");
    CO_TRY_LET(const bool follow, query_flag(exchange, "follow"));
    CO_TRY_LET(auto box, find_box(services, exchange, params));
    if (!box->alive()) {
        CO_TRY_LET(box, co_await awake_box(services, exchange, params));
    }
    CO_TRY_LET(const Files files, files_of(services, *box));
    const auto look = [&] { return files.look_at(path, follow ? LastLink::kFollowed : LastLink::kItself); };
    CO_TRY_LET(const struct stat status, co_await services.boxes.workers().run_for(box->record.customer, look));
    co_return std::optional(answer(Json{{"type", kind_name(status)},
                                        {"size", status.st_size},
                                        {"mod_time", rfc3339(status.st_mtim)},
                                        {"inode", status.st_ino},
                                        {"version", version_of(status)}}));
}

Answer make_directory(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string path, fields.required_text("path"));
    CO_TRY_LET(const auto parents, fields.flag("parents"));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const Files files, files_of(services, *box));
    const auto make = [&]() -> Result<void> {
        if (!parents.value_or(false)) return files.make_one_directory(path);
        TRY(files.make_directory(path));
        return {};
    };
    CO_TRY(co_await services.boxes.workers().run_for(box->record.customer, make));
    co_return std::optional(Response{});
}

Answer rename_entry(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string from, fields.required_text("from"));
    CO_TRY_LET(const std::string to, fields.required_text("to"));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const Files files, files_of(services, *box, "from"));
    CO_TRY_LET(const Files targets, files_of(services, *box, "to"));
    const auto move = [&] { return files.rename(from, targets, to); };
    CO_TRY(co_await services.boxes.workers().run_for(box->record.customer, move));
    co_return std::optional(Response{});
}

Answer remove_entry(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string path, fields.required_text("path"));
    CO_TRY_LET(const auto recursive, fields.flag("recursive"));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const Files files, files_of(services, *box));
    const auto removal = recursive.value_or(false) ? Removal::kTree : Removal::kNoDirectory;
    const auto remove = [&] { return files.remove(path, removal, kRemovedInATurn); };
    for (uint64_t removed = 0; removed < kMostRemoved; removed += kRemovedInATurn) {
        const auto gone = co_await services.boxes.workers().run_for(box->record.customer, remove);
        const bool by_others = removed > 0 && !gone.ok() && gone.error().kind == ErrorKind::kNotFound;
        if (!gone.ok() && !by_others) co_return gone.error();
        if (by_others || gone.value()) co_return std::optional(Response{});
    }
    co_return Error{
        ErrorKind::kTooLarge, 0,
        "path: \"" + path + "\" held more than a million entries, and a million of them are gone; ask again"};
}

}  // namespace

void add_entry_routes(Router& router, Services& services) {
    const auto add = [&](const char* method, const char* name, Answer (*handler)(Services&, Exchange&, const Params&)) {
        router.add(method, std::string("/v2/box/{id}/files/") + name, with(services, handler));
    };
    add("GET", "stat", stat_entry);
    add("POST", "mkdir", make_directory);
    add("POST", "rename", rename_entry);
    add("POST", "remove", remove_entry);
}

}  // namespace hutch::daemon
