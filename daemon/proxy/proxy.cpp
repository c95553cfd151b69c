#include "daemon/proxy/proxy.h"

#include <fmt/format.h>

#include "daemon/api/head_bytes.h"
#include "daemon/log.h"
#include "daemon/proxy/box_server.h"
#include "daemon/proxy/passage.h"
#include "daemon/wire/preview_host.h"

namespace hutch::daemon {
namespace {

namespace http = boost::beast::http;

constexpr size_t kUnreadLimit = 256 * 1024;  // of what is not parsed yet

std::string field_of(const http::header<true>& request, http::field field) {
    const auto value = request[field];
    return {value.data(), value.size()};
}

Refused ask_for_credential(const PreviewRecord& preview) {
    Refused refused(401, "This URL asks for a credential: its token or its password, in the field Authorization.");
    if (!preview.basic_hash.empty()) refused.fields += "WWW-Authenticate: Basic realm=\"box\", charset=\"UTF-8\"\r\n";
    if (!preview.token_hash.empty()) refused.fields += "WWW-Authenticate: Bearer realm=\"box\"\r\n";
    return refused;
}

// A key of the API that was sent to the wrong door must not go on to a box, under whatever scheme.
bool is_key_of_api(const Auth& auth, const std::string& credential) {
    const size_t blank = credential.find_last_of(" \t");
    return auth.by_key(credential.substr(blank == std::string::npos ? 0 : blank + 1)).ok();
}

}  // namespace

/// One of the door's connections.
struct Proxy::Connection {
    Connection(Wire its_wire, Whence its_from, bool by_tls)
        : wire(std::move(its_wire)), from(std::move(its_from)), tls(by_tls), unread(kUnreadLimit) {}

    Wire wire;
    Whence from;
    bool tls;
    boost::beast::flat_buffer unread;

    [[nodiscard]] Arrival arrival_of(const Passage::RequestParser& request, bool keeps_credential) const {
        return {.address = from.address,
                .tls = tls,
                .web_socket = asks_for_web_socket(request.get()) && request.is_done(),
                .keeps_credential = keeps_credential};
    }
};

/// Where a request may go, or why not.
struct Proxy::Way {
    std::optional<Previews::Found> found{};
    std::unique_ptr<Previews::Visit> visit{};
    Refused refused{};
};

// Nothing is woken here.
Proxy::Way Proxy::way_of(Connection& connection, const std::string& host, const std::string& credential) {
    const auto named = parse_preview_host(host, domain_);
    if (!named) return {.refused = {404, "There is nothing here: public URLs begin with the box's id and a port."}};
    auto found = previews_.find(named->box, named->port);
    if (!found.ok()) return {.refused = {404, found.error().message}};
    const PreviewRecord& preview = found.value().preview;
    if (!opens(preview, credential)) return {.refused = ask_for_credential(preview)};
    auto visit = previews_.enter(found.value(), connection.from.network,
                                 [wire = connection.wire]() mutable { wire.break_off(); });
    if (!visit.ok()) {
        const int status = visit.error().kind == ErrorKind::kLimit ? 429 : 503;
        return {.refused = {status, visit.error().message, kRetryLater}};
    }
    return {.found = std::move(found).value(), .visit = std::move(visit).value()};
}

// Whether the connection stays for another request.
Task<bool> Proxy::serve_one(Connection& connection, size_t head_size, const std::function<void(bool)>& on_busy) {
    Passage::RequestParser request;
    request.header_limit(HeadScan::kMostBytes);
    request.body_limit(boost::none);
    boost::beast::error_code failed;
    connection.unread.consume(request.put(asio::buffer(connection.unread.data(), head_size), failed));
    const unsigned version = request.get().version();
    const bool is_head = request.get().method() == http::verb::head;
    Passage::End end;
    bool unread = true;
    if (failed) {
        end.refused.emplace(400, "request: " + failed.message());
    } else {
        const std::string credential = field_of(request.get(), http::field::authorization);
        Way way = way_of(connection, field_of(request.get(), http::field::host), credential);
        if (!way.found) end.refused = std::move(way.refused);
        unread = !request.is_done();
        if (way.found) {
            const PreviewRecord& preview = way.found->preview;
            const bool checked = !preview.token_hash.empty() || !preview.basic_hash.empty();
            const Arrival arrival = connection.arrival_of(request, !checked && !is_key_of_api(auth_, credential));
            BoxServer server(previews_, dialer_, *std::move(way.found), arrival);
            const Passage::Ends ends{connection.wire, connection.unread, request, server, patience_};
            Passage passage(ends, arrival.web_socket);
            std::function<void()> untied = [&on_busy] { on_busy(false); };
            end = co_await passage.go(std::move(untied));
            unread = passage.unread();
        }
    }
    if (end.refused) {
        const bool stays = !unread && request.keep_alive();
        const auto told =
            co_await connection.wire.write(refusal_text(*end.refused, version, is_head, stays), patience_.answer);
        end.stays = stays && told.ok();
        end.gone = !told.ok();
    }
    if (!end.stays && !end.gone) co_await connection.wire.say_farewell(patience_.farewell);
    co_return end.stays;
}

Task<> Proxy::serve(Wire wire, Whence from, bool tls, std::function<void(bool)> on_busy) {
    const auto greeted = co_await wire.shake_hands(patience_.head);
    if (!greeted.ok()) co_return;
    Connection connection(std::move(wire), std::move(from), tls);
    for (bool more = true; more;) {
        const HeadBytes head = co_await read_head_bytes(connection.wire, connection.unread, patience_);
        if (head.refusal) {
            const Refused refused(head.refusal->status, head.refusal->sentence);
            (void)co_await connection.wire.write(refusal_text(refused, 11, false, false), patience_.answer);
            co_await connection.wire.say_farewell(patience_.farewell);
        }
        if (head.size == 0) co_return;
        on_busy(true);
        try {
            more = co_await serve_one(connection, head.size, on_busy);
        } catch (const std::exception& thrown) {  // of a library, or out of memory: this request's end
            log_error("a request by a public URL: {}", thrown.what());
            more = false;
        }
        on_busy(false);
        if (connection.unread.size() == 0) connection.unread = boost::beast::flat_buffer(kUnreadLimit);
    }
}

}  // namespace hutch::daemon
