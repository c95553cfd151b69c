// Images and snapshots as OCI images (ours, beyond the contract).

#include "daemon/api/exports.h"

#include "daemon/event.h"
#include "daemon/log.h"
#include "daemon/wire/oci_layout.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

Answer send_layout(Exports& exports, Exchange& exchange, Outgoing what) {
    const std::string name = what.name;
    const Exports::Taker take = [&exchange](std::string_view piece) -> Task<Result<void>> {
        if (!exchange.begun()) CO_TRY(co_await exchange.begin(200, "application/x-tar"));
        co_return co_await exchange.write(piece);
    };
    const Exports::Gone gone = [&exchange] { return exchange.client_gone(); };
    const auto saved = co_await exports.save(std::move(what), take, gone);
    if (!saved.ok() && exchange.begun() && !exchange.left()) {
        // It is cut, without a last chunk, and that is all that HTTP can say by now.
        log_error("writing {} as an OCI image was broken off: {}", name, saved.error().message);
    }
    CO_TRY(saved);
    CO_TRY(co_await exchange.end());
    co_return std::optional<Response>();
}

Json pushed_json(const PushedLayer& layer) {
    return {{"digest", layer.descriptor.digest}, {"size", layer.descriptor.size}, {"sent", layer.sent}};
}

Task<Result<void>> tell_push(Exports& exports, Exchange& exchange, Outgoing what, std::shared_ptr<Repository> to) {
    const Exports::Heard heard = [&exchange](const PushedLayer& layer) -> Task<Result<void>> {
        const std::string event = final_event("layer", pushed_json(layer));
        co_return co_await exchange.write(event);
    };
    const Exports::Gone gone = [] { return for_ever(); };  // tell_events cancels this when its client has gone
    const std::string tag = to->reference().manifest();
    const std::string text = to->reference().text();
    const auto digest = co_await exports.push(std::move(what), std::move(to), tag, heard, gone);
    const std::string last = digest.ok() ? final_event("pushed", {{"reference", text}, {"digest", digest.value()}})
                                         : final_event("error", error_json(digest.error()));
    co_return co_await exchange.write(last);
}

struct PushCall {
    std::optional<std::string> reference;  ///< else to where it came from
    std::optional<RegistryLogin> login;
};

Result<PushCall> decode_push(const Fields& fields) {
    return PushCall{.reference = TRY(fields.text("reference")), .login = TRY(decode_registry_login(fields))};
}

Answer push(Services& services, Exports& exports, Exchange& exchange, PushCall call, Outgoing what) {
    CO_TRY(services.limits.check_pull(what.customer));
    const std::string text = call.reference.value_or(what.image.source);
    if (text.empty()) {  // not to wherever its name happens to lead: that may be a public place
        co_return invalid("reference: is missing, as " + what.name +
                          " was not pulled; say where to, as HOST/REPOSITORY:TAG");
    }
    auto reference = services.registries.reference(text);
    if (!reference.ok()) co_return std::move(reference).error().in("reference");
    if (!reference.value().digest.empty()) {
        co_return invalid("reference: " + text + " names a digest; name a tag to push to");
    }
    CO_TRY_LET(auto to,
               services.registries.repository(what.customer, reference.value(), call.login, RegistryAccess::kPush));
    Task<Result<void>> telling = tell_push(exports, exchange, std::move(what), std::move(to));
    co_return co_await tell_events(services, exchange, std::move(telling));
}

Result<Outgoing> outgoing_image(Services& services, const Exchange& exchange, const Params& params) {
    Outgoing what;
    what.customer = exchange.request().caller.customer;
    what.image = TRY(services.images.find(params.at("name"), what.customer));
    what.name = oci::reference_name(what.image.name);
    return what;
}

// As whom and where its programs run says the image that its box was made of, as far as that is still there.
ImageRecord image_of(Services& services, const SnapshotRecord& snapshot) {
    const auto made_of = services.images.find(snapshot.image, snapshot.customer);
    ImageRecord image = made_of.ok() ? made_of.value() : Snapshots::as_image(snapshot);
    image.layers = snapshot.layers;
    image.created_at = snapshot.created_ms / 1000;
    for (const auto& variable : snapshot.env) {
        std::erase_if(image.env, [&variable](const auto& older) { return older.first == variable.first; });
        image.env.push_back(variable);
    }
    return image;
}

Result<Outgoing> outgoing_snapshot(Services& services, const Exchange& exchange, const Params& params) {
    const auto box = find_box(services, exchange, params);  // a snapshot outlives it
    const std::string of = box.ok() ? box.value()->record.id : params.at("id");
    const SnapshotRecord snapshot = TRY(find_snapshot(services, exchange, params.at("snapshot"), of));
    if (snapshot.box != of) {
        return Error{ErrorKind::kNotFound, 0, "snapshot " + snapshot.id + " is of another box"};
    }
    const std::string& box_name = snapshot.box_name.empty() ? snapshot.box : snapshot.box_name;
    Outgoing what;
    what.name = oci::repository_name(box_name) + ":" + oci::tag_name(snapshot.name);
    what.customer = exchange.request().caller.customer;
    what.image = image_of(services, snapshot);
    what.image.source.clear();  // which is where its base came from
    return what;
}

}  // namespace

void add_export_routes(Router& router, Services& services, Exports& exports) {
    using Find = Result<Outgoing> (*)(Services&, const Exchange&, const Params&);
    const auto add = [&](const std::string& path, Find find) {
        router.add("GET", path + "/oci", [&, find](Exchange& exchange, const Params& params) -> Answer {
            CO_TRY_LET(Outgoing what, find(services, exchange, params));
            co_return co_await send_layout(exports, exchange, std::move(what));
        });
        router.add("POST", path + "/push", [&, find](Exchange& exchange, const Params& params) -> Answer {
            CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
            CO_TRY_LET(PushCall call, decode_push(fields));
            CO_TRY_LET(Outgoing what, find(services, exchange, params));
            co_return co_await push(services, exports, exchange, std::move(call), std::move(what));
        });
    };
    add("/v2/images/{name}", outgoing_image);
    add("/v2/box/{id}/snapshots/{snapshot}", outgoing_snapshot);
}

}  // namespace hutch::daemon
