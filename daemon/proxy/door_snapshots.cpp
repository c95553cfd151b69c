// Snapshots are their hosts': who has one is asked of all.

#include <algorithm>

#include "daemon/api/codec.h"
#include "daemon/proxy/door.h"
#include "daemon/spawn.h"

namespace hutch::daemon {

/// The snapshots of one other host, as far as the caller sees them: ids and names.
struct Door::Shelf {
    std::string host;
    std::vector<std::pair<std::string, std::string>> snapshots{};

    [[nodiscard]] bool has(const std::string& id_or_name) const {
        return std::any_of(snapshots.begin(), snapshots.end(), [&id_or_name](const auto& one) {
            return one.first == id_or_name || one.second == id_or_name;
        });
    }
};

// `silent`: who did not answer.
Task<std::vector<Door::Shelf>> Door::shelves(Call& call, std::string& silent) {
    std::vector<Shelf> all;
    const Request& request = call.exchange.request();
    for (const auto& [host, member] : std::map<std::string, FleetMember>(fleet_.directory().members())) {
        if (host == fleet_.self()) continue;
        PeerCall asked{"GET", "/v2/box/snapshots", {}, ""};
        auto listed = co_await peers_.ask(host, request, std::move(asked));
        if (!listed.ok()) silent += (silent.empty() ? "" : "; ") + host + ", " + peers_.state_of(host);
        if (!listed.ok()) continue;
        const std::string text = std::move(listed.value().body);
        Shelf shelf{host};
        const auto read = [&text, &shelf] {
            const auto json = parse_json(text);
            if (!json.ok()) return false;
            for (const Json& snapshot : array_at(json.value(), "snapshots")) {
                shelf.snapshots.emplace_back(text_at(snapshot, "id"), text_at(snapshot, "name"));
            }
            return true;
        };
        (void)co_await call.exchange.decode(text.size(), read);
        all.push_back(std::move(shelf));
    }
    co_return all;
}

// Whoever has it makes the box.
Door::Answered Door::make_from_snapshot(Call& call) {
    const Request& request = call.exchange.request();
    CO_TRY_LET(const std::string body, co_await call.exchange.read_body(kMaxJsonBody));
    std::string copy = body;
    CO_TRY_LET(const Fields fields, co_await parse_fields(call.exchange, std::move(copy)));
    CO_TRY_LET(const std::string id, fields.text_or("snapshot_id", ""));
    call.exchange.give_back(body);
    const bool here = id.empty() || find_snapshot(services_, call.exchange, id, "").ok();
    std::string silent;
    std::vector<Shelf> others;
    if (!here) others = co_await shelves(call, silent);
    const auto found = std::find_if(others.begin(), others.end(), [&id](const Shelf& shelf) { return shelf.has(id); });
    if (found == others.end() && !here && !silent.empty()) {
        co_return std::optional(unavailable("snapshot \"" + id + "\" is on no host that answers: " + silent));
    }
    std::string host = found == others.end() ? fleet_.self() : found->host;
    CO_TRY_LET(const std::string key, idempotency_key(request));
    if (!key.empty()) {  // another call that had it went elsewhere, where that is known
        const std::string customer = request.caller.customer;
        CO_TRY_LET(const GivenCall given, co_await fleet_.give_call(customer, key, host, ""));
        host = given.host;
    }
    if (host == fleet_.self()) co_return co_await call.here();
    PeerCall making{request.method, request.target, passed_headers(request), body};
    auto made = co_await unless(call.exchange.client_gone(), peers_.ask(host, request, std::move(making)));
    if (!made) co_return client_left();
    if (!made->ok()) co_return std::optional(unavailable(made->error().message));
    co_return std::optional(std::move(*made).value());
}

// As the call does on one host: none is deleted if one of them is not there.
Door::Answered Door::remove_snapshots(Call& call) {
    const Request& request = call.exchange.request();
    CO_TRY_LET(const std::string body, co_await call.exchange.read_body(kMaxJsonBody));
    std::string copy = body;
    CO_TRY_LET(const Fields fields, co_await parse_fields(call.exchange, std::move(copy)));
    std::vector<std::string> ids;
    if (fields.has("ids")) {
        CO_TRY_LET(ids, fields.texts("ids"));
    }
    std::string silent;
    const std::vector<Shelf> others = co_await shelves(call, silent);
    std::map<std::string, Json> parts;  // by host
    for (const std::string& id : ids) {
        const auto found =
            std::find_if(others.begin(), others.end(), [&id](const Shelf& shelf) { return shelf.has(id); });
        const bool here = find_snapshot(services_, call.exchange, id, "").ok();
        if (!here && found == others.end() && silent.empty()) {
            co_return Error{ErrorKind::kNotFound, 0, "no snapshot has the id or name \"" + id + "\""};
        }
        if (!here && found == others.end()) {
            co_return std::optional(unavailable("snapshot \"" + id + "\" is on no host that answers: " + silent));
        }
        parts[here ? fleet_.self() : found->host].push_back(id);
    }
    if (!fields.has("ids")) {
        if (!silent.empty()) co_return std::optional(unavailable("snapshots may be on " + silent));
        for (const Shelf& shelf : others) parts[shelf.host] = Json();
        parts[fleet_.self()] = Json();
    }
    int64_t deleted = 0;
    for (const auto& [host, its] : parts) {
        const std::string part = its.is_null() ? "{}" : dump(Json{{"ids", its}});
        std::string said;
        if (host == fleet_.self()) {
            call.exchange.give_back(part);
            CO_TRY_LET(auto done, co_await call.here());
            said = done ? done->body : "";
        } else {
            PeerCall asked{request.method, request.target, passed_headers(request), part};
            const auto done = co_await peers_.ask(host, request, std::move(asked));
            if (!done.ok()) co_return std::optional(unavailable(done.error().message));
            if (done.value().status != 200) co_return std::optional(done.value());
            said = done.value().body;
        }
        const auto json = parse_json(said);
        if (json.ok()) deleted += count_at(json.value(), "deleted");
    }
    co_return std::optional(hutch::daemon::answer(Json{{"deleted", deleted}}));
}

// A box that is nowhere: the host that had it says so last.
Door::Answered Door::about_deleted(Call& call) {
    const Request& request = call.exchange.request();
    for (const auto& [host, load] : std::map<std::string, FleetLoad>(fleet_.directory().hosts())) {
        if (host == fleet_.self()) continue;
        PeerCall asked{request.method, request.target, passed_headers(request), ""};
        auto said = co_await peers_.ask(host, request, std::move(asked));
        if (said.ok() && said.value().status != 404) co_return std::optional(std::move(said).value());
    }
    co_return co_await call.here();
}

}  // namespace hutch::daemon
