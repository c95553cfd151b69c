// Images of registries: pulled, named where a box is made, and the logins for them.

#include "base/text.h"
#include "daemon/api/quiet.h"
#include "daemon/api/resources.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr std::chrono::milliseconds kBetweenTellings{200};
constexpr size_t kMostUserName = 256;
constexpr size_t kMostPassword = 16 << 10;  // bytes; some are tokens
constexpr size_t kMostLogins = 100;         // of a customer

Result<RegistryLogin> checked_login(const Fields& fields) {
    RegistryLogin login;
    login.user = TRY(fields.text_or("username", ""));
    login.password = TRY(fields.text_or("password", ""));
    login.refresh = TRY(fields.text_or("identity_token", ""));
    if (login.user.size() > kMostUserName || has_control(login.user) || login.user.find(':') != std::string::npos) {
        return invalid("username: must be at most 256 characters, without a ':'");
    }
    for (const auto& [field, secret] :
         {std::pair("password", &login.password), std::pair("identity_token", &login.refresh)}) {
        if (secret->size() > kMostPassword || has_control(*secret)) {
            return invalid(std::string(field) + ": must be at most 16 KiB of text in one line");
        }
    }
    if (login.empty()) return invalid("password: is required, or an identity_token");
    return login;
}

Json progress_json(const Pull& pull) {
    Json layers = Json::array();
    for (const PulledLayer& layer : pull.layers) {
        layers.push_back(
            {{"digest", layer.digest}, {"size", layer.size}, {"bytes", layer.bytes}, {"wanted", layer.wanted}});
    }
    return {{"layers", std::move(layers)}, {"said", pull.said}};
}

Task<> until_ended(std::shared_ptr<Pull> pull) {
    while (!pull->outcome) {
        co_await pull->changed.wait();
    }
}

Task<> until_next_telling() {
    asio::steady_timer timer(co_await asio::this_coro::executor, kBetweenTellings);
    co_await timer.async_wait(kAwait);
}

Task<Result<void>> tell_pull(const Images& images, std::shared_ptr<Pull> pull, Exchange& exchange) {
    std::string told;
    while (!pull->outcome) {
        std::string now = final_event("progress", progress_json(*pull));
        const bool quiet = std::chrono::steady_clock::now() - exchange.last_write() >= kLongestQuiet;
        if (now != told || quiet) {
            CO_TRY(co_await exchange.write(now));
            told = std::move(now);
        }
        (void)co_await ends_before(until_ended(pull), until_next_telling());
    }
    const std::string reached = final_event("progress", progress_json(*pull));
    if (reached != told) CO_TRY(co_await exchange.write(reached));
    const Result<ImageRecord>& image = *pull->outcome;
    const std::string last = image.ok() ? final_event("image", image_json(images, image.value()))
                                        : final_event("error", error_json(image.error()));
    co_return co_await exchange.write(last);
}

Answer pull_image(Services& services, Exchange& exchange, const Params&) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    PullImage command;
    command.customer = exchange.request().caller.customer;
    CO_TRY(services.limits.check_pull(command.customer));
    CO_TRY_LET(const std::string text, fields.required_text("reference"));
    auto reference = services.registries.reference(text);
    if (!reference.ok()) co_return std::move(reference).error().in("reference");
    command.reference = std::move(reference).value();
    CO_TRY_LET(command.name, fields.text_or("name", text));
    CO_TRY(check_image_name("name", command.name));
    CO_TRY_LET(command.login, decode_registry_login(fields));
    std::shared_ptr<Pull> pull = services.pulls.begin(std::move(command));
    Task<Result<void>> telling = tell_pull(services.images, std::move(pull), exchange);
    co_return co_await tell_events(services, exchange, std::move(telling));
}

Answer put_login(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string host, login_host(params.at("host")));
    CO_TRY_LET(const RegistryLogin login, checked_login(fields));
    const std::string customer = exchange.request().caller.customer;
    CO_TRY(services.limits.check_pull(customer));
    CO_TRY_LET(const auto kept, services.boxes.records().registry_logins(customer));
    if (kept.size() >= kMostLogins) {
        co_return Error{ErrorKind::kLimit, 0, "registry logins: 100 are kept at most; forget some"};
    }
    Reference reference;
    reference.host = host;
    CO_TRY_LET(const auto registry, services.registries.repository(customer, reference, login, RegistryAccess::kPull));
    auto known = co_await unless(exchange.client_gone(), registry->log_in());
    if (!known) co_return client_left();
    CO_TRY(*known);
    RegistryLoginRecord record{host, login.user, login.password, login.refresh};
    CO_TRY(services.boxes.records().put_registry_login(customer, record));
    co_return std::optional(Response{});
}

Answer remove_login(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const std::string host, login_host(params.at("host")));
    CO_TRY_LET(const bool was, services.boxes.records().drop_registry_login(exchange.request().caller.customer, host));
    if (!was) co_return Error{ErrorKind::kNotFound, 0, "no login at " + host + " is kept"};
    co_return std::optional(Response{});
}

// Where, and as whom; the secrets are never shown.
Answer list_logins(Services& services, Exchange& exchange, const Params&) {
    CO_TRY_LET(const auto logins, services.boxes.records().registry_logins(exchange.request().caller.customer));
    Json rows = Json::array();
    for (const RegistryLoginRecord& login : logins) rows.push_back({{"host", login.host}, {"username", login.user}});
    Json all = Json::object();
    all["registries"] = std::move(rows);
    co_return std::optional(answer(all));
}

// What can be no image's name here, and so is meant for a registry.
bool names_registry(const std::string& runtime) {
    return runtime.find_first_of(":/@") != std::string::npos;
}

}  // namespace

Result<std::optional<RegistryLogin>> decode_registry_login(const Fields& fields) {
    const auto login = TRY(fields.object("registry_login"));
    if (!login) return std::optional<RegistryLogin>();
    return std::optional(TRY_IN("registry_login", checked_login(*login)));
}

Task<Result<ImageRecord>> decode_runtime(Services& services, Exchange& exchange, const Fields& fields) {
    CO_TRY_LET(const auto runtime, fields.text("runtime"));
    CO_TRY_LET(auto login, decode_registry_login(fields));
    const std::string customer = exchange.request().caller.customer;
    const std::string text = runtime.value_or(services.config.default_image);
    auto image = services.images.find_runtime(text, customer);
    if (!image.ok() && names_registry(text)) {
        PullImage command;
        command.customer = customer;
        auto reference = services.registries.reference(text);
        if (!reference.ok()) co_return std::move(reference).error().in("runtime");
        command.reference = std::move(reference).value();
        if (const auto here = services.pulls.here(customer, command.reference)) co_return *here;
        const auto named_well = check_image_name("runtime", text);
        if (!named_well.ok()) co_return named_well.error();
        command.name = text;
        const auto allowed = services.limits.check_pull(customer);
        if (!allowed.ok()) co_return Error{allowed.error()}.in("runtime: " + text);
        command.login = std::move(login);
        auto pulled = co_await unless(exchange.client_gone(), services.pulls.pull(std::move(command)));
        if (!pulled) co_return client_left();
        image = *std::move(pulled);
    }
    if (image.ok()) co_return image;
    Error failure = std::move(image).error();
    if (failure.kind == ErrorKind::kNotFound) failure.kind = ErrorKind::kInvalid;
    const std::string where = runtime ? "runtime" : "runtime: none is named, and the default is not there";
    co_return std::move(failure).in(where);
}

void add_registry_routes(Router& router, Services& services) {
    router.add("POST", "/v2/images/pull", with(services, pull_image));
    router.add("GET", "/v2/box/settings/registries", with(services, list_logins));
    router.add("PUT", "/v2/box/settings/registries/{host}", with(services, put_login));
    router.add("DELETE", "/v2/box/settings/registries/{host}", with(services, remove_login));
}

}  // namespace hutch::daemon
