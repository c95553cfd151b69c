// Public URLs of the ports of a box. What comes by them is the proxy's business.

#include "daemon/preview/previews.h"

#include <charconv>

#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

Error no_port() {
    return invalid("port: must be a whole number from 1 to 65535");
}

Result<uint16_t> checked_port(int64_t port) {
    if (port < 1 || port > UINT16_MAX) return no_port();
    return static_cast<uint16_t>(port);
}

Result<uint16_t> port_of(const std::string& text) {
    uint16_t port = 0;
    const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (failure != std::errc() || rest != text.data() + text.size()) return no_port();
    return checked_port(port);
}

Result<Previews::Wish> decode_wish(const Fields& fields) {
    const auto port = TRY(fields.number("port"));
    if (!port) return invalid("port: is required");
    return Previews::Wish{.port = TRY(checked_port(*port)),
                          .token = TRY(fields.flag("bearer_token")).value_or(false),
                          .basic = TRY(fields.flag("basic_auth")).value_or(false)};
}

Response answer_made(const Previews::Made& made, uint16_t port) {
    Json json{{"url", made.url}, {"port", port}};
    if (!made.token.empty()) json["token"] = made.token;
    if (!made.password.empty()) {
        json["username"] = made.user;
        json["password"] = made.password;
    }
    return answer(std::move(json), 201);
}

Answer publish_port(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY(services.previews.check_served());
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const auto wish, decode_wish(fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const auto made, co_await services.previews.publish(box, wish));
    co_return std::optional(answer_made(made, wish.port));
}

Json preview_json(const Previews& previews, const PreviewRecord& preview) {
    return {{"id", preview.id},
            {"port", preview.port},
            {"url", previews.url_of(preview)},
            {"created_at", preview.created_at},
            {"basic_auth", !preview.basic_hash.empty()},
            {"bearer_token", !preview.token_hash.empty()}};
}

Answer list_previews(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const auto previews, services.previews.list(*box));
    Json rows = Json::array();
    for (const PreviewRecord& preview : previews) rows.push_back(preview_json(services.previews, preview));
    Json json = Json::object();
    json["previews"] = std::move(rows);
    co_return std::optional(answer(std::move(json)));
}

Answer withdraw_port(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const uint16_t port, port_of(params.at("port")));
    CO_TRY(co_await services.previews.withdraw(box, port));
    co_return std::optional(Response{});
}

}  // namespace

void add_preview_routes(Router& router, Services& services) {
    router.add("POST", "/v2/box/{id}/preview", with(services, publish_port));
    router.add("GET", "/v2/box/{id}/preview", with(services, list_previews));
    router.add("DELETE", "/v2/box/{id}/preview/{port}", with(services, withdraw_port));
}

}  // namespace hutch::daemon
