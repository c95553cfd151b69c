// Images (ours, beyond the contract).

#include <charconv>

#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

Json object_json(const Pairs& pairs) {
    Json object = Json::object();
    for (const auto& [name, value] : pairs) object[name] = value;
    return object;
}

Json image_json(const Images& images, const ImageRecord& image, const Images::Holders& holders) {
    return {{"id", image.layers.front()},
            {"name", image.name},
            {"parent", image.parent},
            {"layers", image.layers},
            {"env", object_json(image.env)},
            {"user", image.user},
            {"workdir", image.work_dir},
            {"size_bytes", image.size_bytes},
            {"own_bytes", images.own_bytes(image, holders)},
            {"entrypoint", image.entrypoint},
            {"cmd", image.cmd},
            {"labels", object_json(image.labels)},
            {"ports", image.ports},
            {"source", image.source},
            {"digest", image.digest},
            {"created_at", image.created_at}};
}

// NAME=VALUE, one a line.
Result<Pairs> decode_lines(std::string_view text) {
    Pairs env;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const size_t equals = line.find('=');
        if (equals == std::string_view::npos) {
            return invalid("env: \"" + std::string(line) + "\" must be NAME=VALUE; one a line");
        }
        env.emplace_back(line.substr(0, equals), line.substr(equals + 1));
    }
    return checked_env("env", std::move(env));
}

Json making_json(const Making& making) {
    return {{"name", making.name()},
            {"wanted_by", making.wanted_by()},
            {"started_at", making.started_at()},
            {"said", making.said()}};
}

Answer import(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY(check_local(exchange));
    ImportImage command;
    command.name = params.at("name");
    const auto& query = exchange.request().query;
    if (query.contains("user")) command.user = query.at("user");
    if (query.contains("workdir")) command.work_dir = query.at("workdir");
    if (query.contains("wanted_by")) command.wanted_by = query.at("wanted_by");
    if (query.contains("env")) {
        CO_TRY_LET(command.env, decode_lines(query.at("env")));
    }
    CO_TRY_LET(const auto image,
               co_await services.images.import(command, [&exchange] { return exchange.read_some(); }));
    co_return std::optional(answer(image_json(services.images, image), 201));
}

Answer load(Services& services, Exchange& exchange, const Params&) {
    CO_TRY(check_local(exchange));
    const auto& query = exchange.request().query;
    const std::string name = query.contains("name") ? query.at("name") : "";
    const Source source = [&exchange] { return exchange.read_some(); };
    CO_TRY_LET(const auto images, co_await services.images.load_archive(name, source));
    Json rows = Json::array();
    const Images::Holders holders = services.images.holders();
    for (const ImageRecord& image : images) rows.push_back(image_json(services.images, image, holders));
    Json all = Json::object();
    all["images"] = std::move(rows);
    co_return std::optional(answer(all, 201));
}

Answer build(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY(check_local(exchange));
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    BuildImage command;
    command.name = params.at("name");
    CO_TRY_LET(command.from, fields.text_or("from", services.config.default_image));
    CO_TRY_LET(command.script, fields.required_text("script"));
    CO_TRY_LET(command.wanted_by, fields.text_or("wanted_by", ""));
    CO_TRY_LET(command.env, fields.pairs("env"));
    CO_TRY_LET(command.env, checked_env("env", std::move(command.env)));
    CO_TRY(check_image_name("name", command.name));
    CO_TRY(services.images.find(command.from));
    CO_TRY(co_await exchange.begin(200, "text/event-stream"));
    const auto image = co_await services.images.build(
        std::move(command), [&exchange](std::string_view piece) { return exchange.write(piece); },
        [&exchange] { return exchange.client_gone(); });
    const std::string last = image.ok() ? final_event("image", image_json(services.images, image.value()))
                                        : final_event("error", error_json(image.error()));
    CO_TRY(co_await exchange.write(last));
    CO_TRY(co_await exchange.end());
    co_return std::optional<Response>();
}

Result<std::vector<std::string>> decode_ports(const Fields& fields) {
    std::vector<std::string> ports = TRY(fields.texts("ports"));
    for (const std::string& port : ports) {
        const size_t slash = std::min(port.find('/'), port.size());
        const std::string protocol = port.substr(slash);
        uint16_t number = 0;
        const auto [end, failed] = std::from_chars(port.data(), port.data() + slash, number);
        const bool whole = failed == std::errc() && end == port.data() + slash && number != 0;
        if (!whole || (protocol != "/tcp" && protocol != "/udp" && protocol != "/sctp")) {
            return invalid("ports: \"" + port + "\" must be a port and its protocol, as 8080/tcp");
        }
    }
    return ports;
}

// Names that boxes may not be given are an image's to say: what PATH leads to is in it.
Result<Pairs> decode_image_env(const Fields& fields) {
    Pairs env = TRY(fields.pairs("env"));
    for (const auto& [name, value] : env) {
        const std::string both = name + value;
        if (name.empty() || name.find('=') != std::string::npos || both.find('\0') != std::string::npos) {
            return invalid("env: \"" + name + "\" must be a name without '=', and neither it nor its value has a NUL");
        }
    }
    return env;
}

/// What a builder made, on the layers of a snapshot of its box or of the image it began with.
Result<ImageRecord> decode_commit(Services& services, const Exchange& exchange, const Params& params,
                                  const Fields& fields) {
    ImageRecord image;
    const std::string from = TRY(fields.text_or("from", ""));
    const std::string snapshot = TRY(fields.text_or("snapshot_id", ""));
    if (from.empty() && snapshot.empty()) return invalid("from: is required, the image that this one stands on");
    const std::string customer = exchange.request().caller.customer;
    if (!from.empty()) image = TRY_IN("from", services.images.find(from, customer));
    if (!snapshot.empty()) {
        image.layers = TRY_IN("snapshot_id", find_snapshot(services, exchange, snapshot)).layers;
    }
    image.name = params.at("name");
    image.parent = from;
    image.customer = customer;
    image.user = TRY(fields.text_or("user", image.user));
    image.work_dir = TRY(fields.text_or("workdir", image.work_dir));
    if (fields.has("env")) image.env = TRY(decode_image_env(fields));
    if (fields.has("entrypoint")) image.entrypoint = TRY(fields.texts("entrypoint"));
    if (fields.has("cmd")) image.cmd = TRY(fields.texts("cmd"));
    if (fields.has("labels")) image.labels = TRY(fields.pairs("labels"));
    if (fields.has("ports")) image.ports = TRY(decode_ports(fields));
    image.source.clear();  // it is another one now
    image.digest.clear();
    return image;
}

Answer commit(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(ImageRecord image, decode_commit(services, exchange, params, fields));
    CO_TRY_LET(const auto kept, co_await services.images.commit(std::move(image)));
    co_return std::optional(answer(image_json(services.images, kept), 201));
}

}  // namespace

Json image_json(const Images& images, const ImageRecord& image) {
    return image_json(images, image, images.holders());
}

void add_image_routes(Router& router, Services& services) {
    router.add("GET", "/v2/images", [&services](Exchange& exchange, const Params&) -> Answer {
        const Caller& caller = exchange.request().caller;
        Json rows = Json::array();
        const Images::Holders holders = services.images.holders();
        for (const ImageRecord& image : services.images.list()) {
            if (image.customer != kLocalCustomer && image.customer != caller.customer && !caller.is_operator) continue;
            rows.push_back(image_json(services.images, image, holders));
        }
        Json making = Json::array();
        for (const Making& one : services.images.making()) making.push_back(making_json(one));
        Json all = Json::object();
        all["images"] = std::move(rows);
        all["making"] = std::move(making);
        co_return std::optional(answer(all));
    });
    router.add("GET", "/v2/images/{name...}", [&services](Exchange& exchange, const Params& params) -> Answer {
        const std::string& customer = exchange.request().caller.customer;
        CO_TRY_LET(const ImageRecord image, services.images.find(params.at("name"), customer));
        co_return std::optional(answer(image_json(services.images, image)));
    });
    router.add("DELETE", "/v2/images/{name...}", [&services](Exchange& exchange, const Params& params) -> Answer {
        const std::string& customer = exchange.request().caller.customer;
        CO_TRY_LET(const ImageRecord image, services.images.find(params.at("name"), customer));
        if (image.customer != customer) CO_TRY(check_local(exchange));
        CO_TRY(services.images.remove(params.at("name"), customer));
        co_return std::optional(Response{});
    });
    router.add("PUT", "/v2/images/{name...}", [&services](Exchange& exchange, const Params& params) -> Answer {
        co_return co_await import(services, exchange, params);
    });
    router.add("POST", "/v2/images/load", with(services, load));
    router.add("POST", "/v2/images/{name...}/commit", [&services](Exchange& exchange, const Params& params) -> Answer {
        co_return co_await commit(services, exchange, params);
    });
    router.add("POST", "/v2/images/{name...}/build", [&services](Exchange& exchange, const Params& params) -> Answer {
        co_return co_await build(services, exchange, params);
    });
}

}  // namespace hutch::daemon
