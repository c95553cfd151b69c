#include "daemon/egress/intercept.h"

#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>

#include "base/text.h"
#include "daemon/api/head_bytes.h"
#include "daemon/egress/dial.h"
#include "daemon/log.h"
#include "daemon/proxy/passage.h"

namespace hutch::daemon {
namespace {

namespace http = boost::beast::http;
namespace ssl = asio::ssl;

constexpr uint16_t kHttpsPort = 443;
constexpr size_t kMostUnread = 256 * 1024;  // of what is not parsed yet
const Patience kBoxPatience{};

// The name that was told when TLS began, and no other, with the port or without it.
bool is_host_of(std::string host, const std::string& name) {
    host = lower(host);
    if (host.ends_with(":443")) host.resize(host.size() - 4);
    if (host.ends_with('.')) host.pop_back();
    return host == name;
}

// A connection to the host, for the next request of the same connection of a box. Servers close theirs after five
// seconds at the earliest, as a rule, and a request must not meet that.
struct Kept {
    std::optional<Wire> wire;
    std::chrono::steady_clock::time_point since;
};
constexpr std::chrono::seconds kKeptFor{3};

class Host : public Far {
  public:
    struct To {
        const Flow& flow;
        const Pairs& headers;
        Kept& kept;
    };
    Host(To to, std::shared_ptr<ssl::context> trusted, bool web_socket)
        : flow_(to.flow), headers_(to.headers), kept_(to.kept), trusted_(std::move(trusted)), web_socket_(web_socket) {}

    [[nodiscard]] std::string name() const override { return flow_.name; }
    Task<Result<Wire>> connect() override {
        CO_TRY_LET(Wire wire, co_await connect_for_box(flow_.address, flow_.port));
        std::shared_ptr<ssl::context> trusted = trusted_;
        std::string host = flow_.name;
        CO_TRY(co_await wire.connect_tls(std::move(trusted), std::move(host), kBoxPatience.head));
        co_return wire;
    }
    std::optional<Wire> kept() override {
        auto wire = std::exchange(kept_.wire, std::nullopt);
        const bool good = wire && !web_socket_ && std::chrono::steady_clock::now() - kept_.since < kKeptFor;
        return good && wire->is_quiet() ? wire : std::nullopt;
    }
    void keep(Wire wire) override {
        kept_.wire = std::move(wire);
        kept_.since = std::chrono::steady_clock::now();
    }
    [[nodiscard]] Refused refusal_of(const Error& error) const override {
        if (error.code == EPROTO) {
            return {502, "Headers are attached for " + flow_.name +
                             ", but its certificate is not trusted: " + error.message + "."};
        }
        return {error.kind == ErrorKind::kTimeout ? 504 : 502,
                flow_.name + " cannot be reached: " + error.message + "."};
    }
    [[nodiscard]] std::string head_of(const http::header<true>& request, const BodyFraming& body) const override {
        return head_to_host(request, headers_, web_socket_, body);
    }
    Task<Result<void>> ready() override { co_return Result<void>(); }
    void count(size_t, size_t) override {}
    void answers() override {}

  private:
    const Flow& flow_;
    const Pairs& headers_;
    Kept& kept_;
    std::shared_ptr<ssl::context> trusted_;
    bool web_socket_;
};

}  // namespace

struct Intercept::Guest {
    Wire& wire;
    const Flow& flow;
    boost::beast::flat_buffer unread{kMostUnread};
    Kept kept{};
};

Result<std::shared_ptr<Intercept>> Intercept::make(const Attached& attached) {
    auto trusted = std::make_shared<ssl::context>(ssl::context::tls_client);
    SSL_CTX* const native = trusted->native_handle();
    SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(native, SSL_VERIFY_PEER, nullptr);
    static constexpr unsigned char kProtocols[] = "\x08http/1.1";
    if (SSL_CTX_set_default_verify_paths(native) != 1 ||
        SSL_CTX_set_alpn_protos(native, kProtocols, sizeof(kProtocols) - 1) != 0) {
        return errno_error("reading this host's authorities", EIO);
    }
    return std::shared_ptr<Intercept>(new Intercept(attached, std::move(trusted)));
}

bool Intercept::wants(const Flow& flow) const {
    if (!flow.tls || flow.port != kHttpsPort || flow.name.empty()) return false;
    const auto found = attached_.find(flow.box);
    return found && headers_for(found->rules, flow.name) != nullptr;
}

// Whether the connection stays for another request. The rules are those of this moment.
Task<bool> Intercept::serve_one(Guest& guest, size_t head_size) {
    Passage::RequestParser request;
    request.header_limit(HeadScan::kMostBytes);
    request.body_limit(boost::none);
    boost::beast::error_code failed;
    guest.unread.consume(request.put(asio::buffer(guest.unread.data(), head_size), failed));
    const auto& head = request.get();
    const auto found = attached_.find(guest.flow.box);
    const Pairs* const headers = found ? headers_for(found->rules, guest.flow.name) : nullptr;
    if (headers == nullptr) co_return false;
    Passage::End end;
    bool unread = !request.is_done();
    const auto host_field = head[http::field::host];
    if (failed) {
        end.refused.emplace(400, "request: " + failed.message());
    } else if (!is_host_of(std::string(host_field.data(), host_field.size()), guest.flow.name)) {
        end.refused.emplace(421, "Host: must be " + guest.flow.name + ", which this connection was opened to");
    } else if (head.method() == http::verb::trace || head.method() == http::verb::connect) {
        // The answer to TRACE is what was sent.
        end.refused.emplace(405, "This method cannot be used where headers are attached.");
    } else {
        const bool web_socket = asks_for_web_socket(head) && request.is_done();
        const Host::To to{guest.flow, *headers, guest.kept};
        Host server(to, trusted_, web_socket);
        const Passage::Ends ends{guest.wire, guest.unread, request, server, kBoxPatience};
        Passage passage(ends, web_socket);
        std::function<void()> untied = [] {};
        end = co_await passage.go(std::move(untied));
        unread = passage.unread();
    }
    if (end.refused) {
        const bool stays = !unread && request.keep_alive();
        const std::string text = refusal_text(*end.refused, head.version(), head.method() == http::verb::head, stays);
        const auto told = co_await guest.wire.write(text, kBoxPatience.answer);
        end.stays = stays && told.ok();
        end.gone = !told.ok();
    }
    if (!end.stays && !end.gone) {
        guest.wire.reset_at_end(false);
        co_await guest.wire.say_farewell(kBoxPatience.farewell);
    }
    co_return end.stays;
}

Task<> Intercept::serve(Wire box, std::string begun, Flow flow) {
    const auto found = attached_.find(flow.box);
    if (!found) co_return;
    auto context = found->authority->context_of(flow.name);
    if (!context.ok()) {
        log_error("box {}: {}", found->box, context.error().message);
        co_return;
    }
    std::shared_ptr<ssl::context> shown = std::move(context).value();
    const auto greeted = co_await box.accept_tls(std::move(shown), std::move(begun), kBoxPatience.head);
    if (!greeted.ok()) co_return;
    Guest guest{box, flow};
    for (bool more = true; more;) {
        const HeadBytes head = co_await read_head_bytes(box, guest.unread, kBoxPatience);
        if (head.refusal) {
            const Refused refused(head.refusal->status, head.refusal->sentence);
            const std::string text = refusal_text(refused, 11, false, false);
            (void)co_await box.write(text, kBoxPatience.answer);
            box.reset_at_end(false);
            co_await box.say_farewell(kBoxPatience.farewell);
        }
        if (head.size == 0) break;
        more = co_await serve_one(guest, head.size);
    }
    box.reset_at_end(false);
}

}  // namespace hutch::daemon
