#include "daemon/proxy/heads.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/rfc7230.hpp>
#include <set>

#include "base/text.h"

namespace hutch::daemon {
namespace {

namespace http = boost::beast::http;
using FieldNames = std::set<std::string>;

std::string_view view_of(boost::beast::string_view text) {
    return {text.data(), text.size()};
}

// What reads fields into variables (CGI, WSGI, Rack, PHP) takes an underscore for a dash: "X_Forwarded_For" is one of
// ours as well.
std::string plain_name(std::string_view name) {
    std::string plain = lower(name);
    std::replace(plain.begin(), plain.end(), '_', '-');
    return plain;
}

// What an end of a connection tells the other alone, by its fields Connection.
FieldNames named_by_connection(const http::fields& fields) {
    FieldNames names;
    for (const auto& field : fields) {
        if (field.name() != http::field::connection) continue;
        for (const auto& token : http::token_list(field.value())) names.insert(plain_name(view_of(token)));
    }
    return names;
}

// Framing is written anew, and what a client expects is answered here.
bool ends_here(const std::string& name, const FieldNames& named) {
    static const FieldNames kAlways = {
        "connection",       "content-length",      "expect",  "http2-settings",
        "keep-alive",       "proxy-authenticate",  "te",      "proxy-authentication-info",
        "proxy-connection", "proxy-authorization", "trailer", "transfer-encoding",
        "upgrade"};
    return kAlways.contains(name) || (named.contains(name) && name != "host");
}

// A key of the API has no business in a box, whoever sent it here; nor has a client which proxy the programs of a box
// use, which is what CGI makes of Proxy (httpoxy.org).
bool is_our_word(const std::string& name) {
    return name.starts_with("x-forwarded-") || name == "forwarded" || name == "x-real-ip" || name == "x-box-api-key" ||
           name == "proxy";
}

std::string field_line(std::string_view name, std::string_view value) {
    return std::string(name).append(": ").append(value).append("\r\n");
}

std::string framing_of(const BodyFraming& body) {
    switch (body.kind) {
        case BodyFraming::Kind::kChunked:
            return "Transfer-Encoding: chunked\r\n";
        case BodyFraming::Kind::kLength:
            return fmt::format("Content-Length: {}\r\n", body.length);
        case BodyFraming::Kind::kNone:
            return body.told ? fmt::format("Content-Length: {}\r\n", body.length) : "";
        case BodyFraming::Kind::kToEnd:
            break;
    }
    return "";
}

constexpr std::string_view kToWebSocket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

template <bool kIsRequest>
bool changes_to_web_socket(const http::header<kIsRequest>& head) {
    return lower(view_of(head[http::field::upgrade])) == "websocket" && named_by_connection(head).contains("upgrade");
}

}  // namespace

bool asks_for_web_socket(const http::header<true>& request) {
    return request.version() == 11 && request.method() == http::verb::get && changes_to_web_socket(request);
}

bool is_web_socket_answer(const http::header<false>& answer) {
    return answer.result() == http::status::switching_protocols && changes_to_web_socket(answer);
}

std::string head_to_box(const http::header<true>& request, const Arrival& arrival, const BodyFraming& body) {
    const FieldNames named = named_by_connection(request);
    std::string head = fmt::format("{} {} HTTP/1.1\r\n", view_of(request.method_string()), view_of(request.target()));
    for (const auto& field : request) {
        const std::string name = plain_name(view_of(field.name_string()));
        if (ends_here(name, named) || is_our_word(name)) continue;
        if (name == "authorization" && !arrival.keeps_credential) continue;
        head += field_line(view_of(field.name_string()), view_of(field.value()));
    }
    head += field_line("X-Forwarded-For", arrival.address);
    head += field_line("X-Forwarded-Proto", arrival.tls ? "https" : "http");
    head += field_line("X-Forwarded-Host", view_of(request[http::field::host]));
    head += framing_of(body);
    head += arrival.web_socket ? kToWebSocket : "Connection: close\r\n";
    return head + "\r\n";
}

std::string head_to_host(const http::header<true>& request, const Pairs& attached, bool web_socket,
                         const BodyFraming& body) {
    const FieldNames named = named_by_connection(request);
    FieldNames ours;
    for (const auto& [name, value] : attached) ours.insert(plain_name(name));
    std::string head = fmt::format("{} {} HTTP/1.1\r\n", view_of(request.method_string()), view_of(request.target()));
    for (const auto& field : request) {
        const std::string name = plain_name(view_of(field.name_string()));
        if (ends_here(name, named) || ours.contains(name)) continue;
        head += field_line(view_of(field.name_string()), view_of(field.value()));
    }
    for (const auto& [name, value] : attached) head += field_line(name, value);
    head += framing_of(body);
    if (web_socket) head += kToWebSocket;
    return head + "\r\n";
}

std::string head_to_peer(const http::header<true>& request, const Pairs& told, bool web_socket,
                         const BodyFraming& body) {
    const FieldNames named = named_by_connection(request);
    std::string head = fmt::format("{} {} HTTP/1.1\r\n", view_of(request.method_string()), view_of(request.target()));
    for (const auto& field : request) {
        const std::string name = plain_name(view_of(field.name_string()));
        if (ends_here(name, named) || name.starts_with("x-hutch-")) continue;
        if (name == "x-box-api-key" || name == "authorization") continue;
        head += field_line(view_of(field.name_string()), view_of(field.value()));
    }
    for (const auto& [name, value] : told) head += field_line(name, value);
    head += framing_of(body);
    if (web_socket) head += kToWebSocket;
    return head + "\r\n";
}

std::string head_to_client(const http::header<false>& answer, const BodyFraming& body, unsigned version, bool stays) {
    const FieldNames named = named_by_connection(answer);
    const bool changes = is_web_socket_answer(answer);
    std::string head =
        fmt::format("HTTP/1.{} {:03} {}\r\n", version < 11 ? 0 : 1, answer.result_int(), view_of(answer.reason()));
    for (const auto& field : answer) {
        if (ends_here(plain_name(view_of(field.name_string())), named)) continue;
        head += field_line(view_of(field.name_string()), view_of(field.value()));
    }
    if (changes) return head.append(kToWebSocket) + "\r\n";
    head += framing_of(body);
    if (!stays) head += "Connection: close\r\n";
    if (stays && version < 11) head += "Connection: keep-alive\r\n";
    return head + "\r\n";
}

}  // namespace hutch::daemon
