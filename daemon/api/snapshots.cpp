// Snapshots and forks.

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "daemon/api/json_rows.h"
#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr int64_t kMostForks = 1000;

Json snapshot_json(const SnapshotRecord& snapshot) {
    return {{"id", snapshot.id},          {"name", snapshot.name},
            {"box_id", snapshot.box},     {"size_bytes", snapshot.bytes},
            {"status", "ready"},          {"created_at", snapshot.created_ms / 1000},
            {"nesting", snapshot.nesting}};
}

Json details_json(const KeepTimes& times) {
    return {{"snapshot_ns",
             {{"sync", times.sync},
              {"record", times.record},
              {"end", times.end},
              {"seal", times.seal},
              {"frozen", times.frozen},
              {"copied", times.copied}}}};
}

Answer answer_list(Services& services, Exchange& exchange, std::vector<SnapshotRecord> snapshots) {
    JsonRows rows("snapshots", exchange.memory());
    for (size_t i = 0; i < snapshots.size(); ++i) {
        CO_TRY(rows.add(snapshot_json(snapshots[i])));
        co_await give_way(services, i);
    }
    co_return std::optional(Response{200, rows.finish(), "application/json"});
}

Answer take(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(std::string name, fields.required_text("name"));
    if (name.empty() || name.size() > 128 || name.find('\0') != std::string::npos) {
        co_return invalid("name: must be 1 to 128 bytes of text");
    }
    CO_TRY_LET(const auto unique, fields.flag("unique"));
    // Asked for again when it is written down: another may have come meanwhile.
    const auto check_unique = [&services, box, name, unique]() -> Result<void> {
        const BoxRecord& record = box->record;
        if (!unique.value_or(false) || services.snapshots.named(record.customer, name, record.id).empty()) return {};
        return Error{ErrorKind::kConflict, 0, "name: the box has a snapshot \"" + name + "\" already; choose another"};
    };
    CO_TRY(check_unique());
    KeepTimes times;
    const auto inherit = [&](const SnapshotRecord& made) -> Result<void> {
        TRY(check_unique());
        return services.agents.inherit(box->record.id, made.id);
    };
    CO_TRY_LET(const SnapshotRecord snapshot, co_await services.snapshots.take(box, std::move(name), times, inherit));
    exchange.concern(snapshot.id);
    Json json = snapshot_json(snapshot);
    if (wants_details(exchange)) json["details"] = details_json(times);
    co_return std::optional(answer(json, 201));
}

// A snapshot outlives its box, and is then found by the box's id.
Answer list_of_box(Services& services, Exchange& exchange, const Params& params) {
    const auto box = find_box(services, exchange, params);
    auto snapshots = services.snapshots.list(box.ok() ? box.value()->record.id : params.at("id"));
    std::erase_if(snapshots, [&exchange](const auto& snapshot) { return !may_see(exchange, snapshot.customer); });
    if (!box.ok() && snapshots.empty()) co_return box.error();
    co_return co_await answer_list(services, exchange, std::move(snapshots));
}

Answer remove_one(Services& services, Exchange& exchange, const Params& params) {
    const auto box = find_box(services, exchange, params);
    const std::string of = box.ok() ? box.value()->record.id : params.at("id");
    CO_TRY_LET(const SnapshotRecord snapshot, find_snapshot(services, exchange, params.at("snapshot"), of));
    if (snapshot.box != of) {
        co_return Error{ErrorKind::kNotFound, 0, "snapshot " + snapshot.id + " is of another box"};
    }
    std::vector<std::string> one(1, snapshot.id);
    CO_TRY(co_await services.snapshots.remove(std::move(one)));
    co_return std::optional(Response{});
}

std::vector<SnapshotRecord> listed_snapshots(const Services& services, const Exchange& exchange) {
    auto snapshots = services.snapshots.list();
    std::erase_if(snapshots, [&exchange](const auto& snapshot) { return !is_listed(exchange, snapshot.customer); });
    return snapshots;
}

// Those named, or all when none are: none is deleted if one of them is not there.
Answer remove_snapshots(Services& services, Exchange& exchange) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    std::set<std::string> ids;  // one may be named twice
    if (fields.has("ids")) {
        CO_TRY_LET(const auto named, fields.texts("ids"));
        for (const std::string& one : named) {
            exchange.concern(one);
            CO_TRY_LET(const SnapshotRecord snapshot, find_snapshot(services, exchange, one));
            ids.insert(snapshot.id);
        }
    } else {
        for (const SnapshotRecord& snapshot : listed_snapshots(services, exchange)) ids.insert(snapshot.id);
        for (const std::string& id : ids) exchange.concern(id);
    }
    // Some in each turn: whether their layers are used any more is looked up among all boxes there are.
    constexpr size_t kAtOnce = 16;
    std::vector<std::string> some;
    for (const std::string& id : ids) {
        some.push_back(id);
        if (some.size() < kAtOnce && id != *ids.rbegin()) continue;
        CO_TRY(co_await services.snapshots.remove(std::exchange(some, {})));
    }
    co_return std::optional(answer(Json{{"deleted", ids.size()}}));
}

Answer create(Services& services, Exchange& exchange) {
    CO_TRY_LET(std::string body, co_await exchange.read_body(kMaxJsonBody));
    CO_TRY_LET(Once::Attempt attempt, co_await services.once.attempt(exchange, body));
    if (!attempt.made.empty()) co_return std::optional(answer(box_json(services, *attempt.made[0]), 201));
    CO_TRY_LET(const Fields fields, co_await parse_fields(exchange, std::move(body)));
    CO_TRY_LET(const std::string id, fields.required_text("snapshot_id"));
    auto found = find_snapshot(services, exchange, id);
    if (!found.ok()) co_return std::move(found).error().in("snapshot_id");
    const SnapshotRecord snapshot = std::move(found).value();
    CO_TRY_LET(const std::string runtime, fields.text_or("runtime", snapshot.image));
    if (runtime != snapshot.image) {
        co_return invalid("runtime: snapshot " + id + " is of a box of image " + snapshot.image + "; leave it out");
    }
    CO_TRY_LET(CreateBox command, decode_create(exchange, fields, Snapshots::as_image(snapshot), snapshot.size));
    if (!fields.has("nesting")) command.nesting = snapshot.nesting;
    CO_TRY_LET(Furnishing furnishing, decode_furnishing(services, fields, command));
    furnishing.like = snapshot.id;
    attempt.follow({&command, 1}, furnishing.any());
    CO_TRY_LET(const auto box, co_await services.boxes.create(std::move(command)));
    CO_TRY(co_await furnish(services, std::vector(1, box), std::move(furnishing)));
    CO_TRY(co_await attempt.keep(std::vector(1, box)));
    exchange.concern(box->record.id);
    co_return std::optional(answer(box_json(services, *box), 201));
}

// The one of a call that says no `count` stands there as a box does too, which is all that clients before 0.2 read.
Response answer_forks(const Services& services, Exchange& exchange, const Fields& fields,
                      const std::vector<std::shared_ptr<Box>>& forks) {
    Json boxes = Json::array();
    for (const auto& made : forks) {
        exchange.concern(made->record.id);
        boxes.push_back(box_json(services, *made));
    }
    Json all = fields.has("count") ? Json::object() : boxes[0];
    all["boxes"] = std::move(boxes);
    return answer(std::move(all), 201);
}

// With a name they are called name-1, name-2, ...; everything else that create takes applies to each of them.
Answer fork(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(std::string body, co_await exchange.read_body(kMaxJsonBody));
    CO_TRY_LET(Once::Attempt attempt, co_await services.once.attempt(exchange, body));
    CO_TRY_LET(const Fields fields, co_await parse_fields(exchange, std::move(body)));
    if (!attempt.made.empty()) co_return std::optional(answer_forks(services, exchange, fields, attempt.made));
    CO_TRY_LET(const auto asked, fields.number("count"));
    const int64_t count = asked.value_or(1);
    if (count < 1 || count > kMostForks) co_return invalid("count: must be 1 to " + std::to_string(kMostForks));
    CO_TRY_LET(CreateBox model, decode_create(exchange, fields, ImageRecord{}, box->record.size));
    // A copy of a box that must not talk does not begin to.
    if (!fields.has("network_policy")) model.network = box->record.network;
    if (!fields.has("nesting")) model.nesting = box->record.nesting;
    if (!fields.has("github_token")) model.git_token = box->record.git_token;
    model.clone_repo = box->record.clone_repo;
    CO_TRY_LET(Furnishing furnishing, decode_furnishing(services, fields, model));
    furnishing.like = box->record.id;
    // Before there is a copy of it for each.
    const auto memory = static_cast<int64_t>(find_size(model.size)->memory_bytes);
    CO_TRY(services.limits.check(model.customer, Resource::kBoxes, count));
    CO_TRY(services.limits.check(model.customer, Resource::kMemory, count * memory));
    std::vector<CreateBox> commands(static_cast<size_t>(count), model);
    for (size_t i = 0; i < commands.size() && !model.name.empty(); ++i) {
        commands[i].name = model.name + "-" + std::to_string(i + 1);
        CO_TRY(check_name("name", commands[i].name));
    }
    attempt.follow(commands, furnishing.any());
    CO_TRY_LET(const auto forks, co_await services.snapshots.fork(box, std::move(commands)));
    CO_TRY(co_await furnish(services, forks, std::move(furnishing)));
    CO_TRY(co_await attempt.keep(forks));
    co_return std::optional(answer_forks(services, exchange, fields, forks));
}

Answer roll_back(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string id, fields.required_text("snapshot_id"));
    CO_TRY_LET(const SnapshotRecord snapshot, find_snapshot(services, exchange, id, box->record.id));
    auto roll_back = services.snapshots.roll_back(box, snapshot.id);
    CO_TRY(co_await services.agents.go_back(box->record.id, snapshot.id, std::move(roll_back)));
    co_return std::optional(Response{});
}

const char* name_of(overlayfs::Change::Kind kind) {
    switch (kind) {
        case overlayfs::Change::Kind::kAdded:
            return "added";
        case overlayfs::Change::Kind::kModified:
            return "modified";
        case overlayfs::Change::Kind::kMetadata:
            return "metadata";
        case overlayfs::Change::Kind::kDeleted:
            return "deleted";
        case overlayfs::Change::Kind::kEntered:
            break;  // of an archive alone
    }
    return "modified";
}

const char* type_of(mode_t mode) {
    if (S_ISREG(mode)) return "file";
    if (S_ISDIR(mode)) return "directory";
    return S_ISLNK(mode) ? "link" : "other";
}

// The layers that the box's changes are told against: of its image, or of any snapshot.
Result<std::vector<std::string>> base_of(const Services& services, const Exchange& exchange, const Box& box) {
    const auto& query = exchange.request().query;
    const auto against = query.find("against");
    if (against != query.end())
        return TRY_IN("against", find_snapshot(services, exchange, against->second, box.record.id)).layers;
    return TRY(services.images.find(box.record.image, box.record.customer)).layers;
}

Answer diff_archive(Services& services, Exchange& exchange, const std::shared_ptr<Box>& box,
                    std::vector<std::string> base) {
    bool client_there = true;
    const auto write = [&](std::string_view piece) -> Task<Result<void>> {
        Result<void> written;
        if (!exchange.begun()) written = co_await exchange.begin(200, "application/x-tar");
        if (written.ok()) written = co_await exchange.write(piece);
        client_there = written.ok();
        co_return written;
    };
    const auto archived = co_await services.snapshots.archive_diff(box, std::move(base), write);
    if (!archived.ok() && exchange.begun() && client_there) {
        // It is cut, without a last chunk, and that is all that HTTP can say by now.
        services.boxes.note(*box, "error", "its diff as an archive was broken off: " + archived.error().message);
    }
    CO_TRY(archived);
    CO_TRY(co_await exchange.end());
    co_return std::optional<Response>();
}

Answer diff(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto found, find_box(services, exchange, params));
    co_await found->unchanged();
    CO_TRY_LET(const auto box, find_box(services, exchange, params));  // it may be gone by now
    CO_TRY_LET(auto base, base_of(services, exchange, *box));
    const auto format = exchange.request().query.find("format");
    if (format != exchange.request().query.end() && format->second == "tar") {
        co_return co_await diff_archive(services, exchange, box, std::move(base));
    }
    if (format != exchange.request().query.end() && format->second != "json") {
        co_return invalid("format: must be json or tar");
    }
    JsonRows rows("changes", exchange.memory());
    const overlayfs::ChangeSink add = [&rows](const overlayfs::Change& change) -> Result<void> {
        auto added = rows.add({{"path", "/" + change.path},
                               {"change", name_of(change.kind)},
                               {"type", type_of(change.type)},
                               {"size", change.size}});
        if (added.ok() || added.error().kind != ErrorKind::kTooLarge) return added;
        return Error{ErrorKind::kTooLarge, 0,
                     added.error().message + "; take what the box has changed with format=tar"};
    };
    CO_TRY(co_await services.snapshots.diff(box, std::move(base), add));
    co_return std::optional(Response{200, rows.finish(), "application/json"});
}

}  // namespace

void add_snapshot_routes(Router& router, Services& services) {
    router.add("POST", "/v2/box/{id}/snapshots", with(services, take));
    router.add("GET", "/v2/box/{id}/snapshots", with(services, list_of_box));
    router.add("DELETE", "/v2/box/{id}/snapshots/{snapshot}", with(services, remove_one));
    router.add("GET", "/v2/box/snapshots", [&services](Exchange& exchange, const Params&) -> Answer {
        co_return co_await answer_list(services, exchange, listed_snapshots(services, exchange));
    });
    router.add("DELETE", "/v2/box/snapshots",
               [&services](Exchange& exchange, const Params&) { return remove_snapshots(services, exchange); });
    router.add("POST", "/v2/box/from-snapshot",
               [&services](Exchange& exchange, const Params&) { return create(services, exchange); });
    router.add("POST", "/v2/box/{id}/fork", with(services, fork));
    router.add("GET", "/v2/box/{id}/diff", with(services, diff));
    router.add("POST", "/v2/box/{id}/rollback", with(services, roll_back));
}

}  // namespace hutch::daemon
