#include "daemon/fleet/etcd.h"

#include <boost/asio/post.hpp>
#include <cstdlib>

#include "daemon/base64.h"
#include "daemon/spawn.h"
#include "daemon/wire/json.h"

namespace hutch::daemon {
namespace {

constexpr long kCallSeconds = 2;  // of one member: a write at one that is cut off would hang for seven
constexpr size_t kMostEtcdAnswer = 64 << 20;
constexpr size_t kPageRows = 500;  // some 200 KB, parsed in 2 ms

Json number_text(int64_t number) {
    return std::to_string(number);
}

}  // namespace

Etcd::Etcd(asio::any_io_executor executor, Fetcher& fetcher, Access access)
    : executor_(std::move(executor)), fetcher_(fetcher), access_(std::move(access)) {}

FetchCall Etcd::call_of(const std::string& member, const char* path, const std::string& body) const {
    FetchCall call;
    call.method = "POST";
    call.url = member + path;
    call.headers = {"Content-Type: application/json", "Expect:"};
    call.body = body;
    call.seconds = kCallSeconds;
    call.identity = access_.identity;
    return call;
}

Task<Result<std::string>> Etcd::call_member(const std::string& member, const char* path, const std::string& body) {
    Fetch fetch = fetcher_.start(call_of(member, path, body));
    const auto head = co_await fetch.head();
    if (!head.ok()) co_return unreachable(head.error().message);
    std::string text;
    for (;;) {
        const auto piece = co_await fetch.read();
        if (!piece.ok()) co_return unreachable(piece.error().message);
        if (piece.value().empty()) break;
        text += piece.value();
        if (text.size() > kMostEtcdAnswer) co_return unreachable("an answer is larger than 64 MiB");
    }
    if (head.value().status == 200) co_return text;
    const auto json = parse_json(text);
    const std::string why = json.ok() ? text_at(json.value(), "message") : "";
    co_return unreachable(member + path + ": " + (why.empty() ? std::to_string(head.value().status) : why));
}

Task<Result<std::string>> Etcd::call(const char* path, const std::string& body) {
    Result<std::string> answer = unreachable("none is named");
    const size_t tries = std::max<size_t>(2, access_.members.size());
    for (size_t i = 0; i < tries; ++i) {
        const size_t asked = current_;
        answer = co_await call_member(access_.members[asked], path, body);
        if (answer.ok()) break;
        if (current_ == asked) current_ = (asked + 1) % access_.members.size();
    }
    co_return answer;
}

Task<Result<EtcdOutcome>> Etcd::commit(EtcdTxn txn) {
    const std::string body = etcd::txn_text(txn);
    CO_TRY_LET(const std::string text, co_await call("/v3/kv/txn", body));
    co_return etcd::outcome_of(text);
}

Task<Result<std::optional<EtcdRow>>> Etcd::read(std::string key) {
    const std::string body = dump(Json{{"key", encode_base64(key)}});
    CO_TRY_LET(const std::string text, co_await call("/v3/kv/range", body));
    CO_TRY_LET(etcd::Page page, etcd::page_of(text));
    if (page.rows.empty()) co_return std::optional<EtcdRow>();
    co_return std::optional(std::move(page.rows.front()));
}

Task<Result<int64_t>> Etcd::read_all(std::string prefix, std::function<void(EtcdRow)> each) {
    const std::string end = encode_base64(etcd::end_of_prefix(prefix));
    std::string from = prefix;
    int64_t revision = 0;
    for (;;) {
        const std::string body = dump(Json{{"key", encode_base64(from)},
                                           {"range_end", end},
                                           {"limit", number_text(kPageRows)},
                                           {"revision", number_text(revision)}});
        CO_TRY_LET(const std::string text, co_await call("/v3/kv/range", body));
        CO_TRY_LET(etcd::Page page, etcd::page_of(text));
        if (revision == 0) revision = page.revision;
        if (!page.rows.empty()) from = page.rows.back().key + '\0';
        const bool more = page.more && !page.rows.empty();
        for (EtcdRow& row : page.rows) each(std::move(row));
        if (!more) co_return revision;
        co_await asio::post(executor_, asio::use_awaitable);
    }
}

Task<Result<int64_t>> Etcd::grant(int64_t seconds) {
    const std::string body = dump(Json{{"TTL", number_text(seconds)}});
    CO_TRY_LET(const std::string text, co_await call("/v3/lease/grant", body));
    const auto json = parse_json(text);
    const std::string id = json.ok() ? text_at(json.value(), "ID") : "";
    if (id.empty()) co_return unreachable("granted no lease");
    co_return std::strtoll(id.c_str(), nullptr, 10);
}

// An ended one is answered by 200 too, without a TTL.
Task<Result<void>> Etcd::keep_alive(int64_t lease) {
    const std::string body = dump(Json{{"ID", number_text(lease)}});
    CO_TRY_LET(const std::string text, co_await call("/v3/lease/keepalive", body));
    const auto json = parse_json(text);
    if (!json.ok()) co_return unreachable("answered a lease with what is no JSON");
    if (!text_at(object_at(json.value(), "result"), "TTL").empty()) co_return Result<void>();
    co_return Error{ErrorKind::kNotFound, 0, "the fleet's etcd: the lease has ended"};
}

Task<Result<void>> Etcd::revoke(int64_t lease) {
    const std::string body = dump(Json{{"ID", number_text(lease)}});
    CO_TRY(co_await call("/v3/lease/revoke", body));
    co_return Result<void>();
}

// Without that header a member that is cut off from the others says nothing at all.
Task<Result<void>> Etcd::watch(std::string prefix, int64_t from, std::chrono::seconds silence,
                               std::function<void(const EtcdEvent&)> told) {
    const Json what = {{"key", encode_base64(prefix)},
                       {"range_end", encode_base64(etcd::end_of_prefix(prefix))},
                       {"start_revision", number_text(from)},
                       {"progress_notify", true}};
    const std::string body = dump(Json{{"create_request", what}});
    const size_t asked = current_;
    FetchCall call = call_of(access_.members[asked], "/v3/watch", body);
    call.seconds = 0;
    call.headers.emplace_back("Grpc-Metadata-hasleader: true");
    Fetch fetch = fetcher_.start(std::move(call));
    const auto leave = [&](Error error) {
        if (current_ == asked) current_ = (asked + 1) % access_.members.size();
        return error;
    };
    std::string begun;
    for (;;) {
        const auto too_quiet = [&]() -> Task<> {
            asio::steady_timer limit(executor_, silence);
            co_await limit.async_wait(kAwait);
        };
        auto piece = co_await unless(too_quiet(), fetch.read());
        if (!piece) co_return leave(unreachable(access_.members[asked] + " says nothing"));
        if (!piece->ok()) co_return leave(unreachable(piece->error().message));
        if (piece->value().empty()) co_return leave(unreachable(access_.members[asked] + " ended a watch"));
        begun += piece->value();
        if (begun.size() > kMostEtcdAnswer) co_return leave(unreachable("a change is larger than 64 MiB"));
        for (size_t end = begun.find('\n'); end != std::string::npos; end = begun.find('\n')) {
            const auto events = etcd::events_of(begun.substr(0, end));
            begun.erase(0, end + 1);
            if (!events.ok() && events.error().kind == ErrorKind::kNotFound) co_return events.error();
            if (!events.ok()) co_return leave(events.error());
            for (const EtcdEvent& event : events.value()) told(event);
        }
    }
}

}  // namespace hutch::daemon
