// Images and snapshots as OCI images (ours, beyond the contract).

#include "daemon/api/exports.h"

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

Answer save_image(Services& services, Exports& exports, Exchange& exchange, const Params& params) {
    CO_TRY_LET(ImageRecord image, services.images.find(params.at("name")));
    Outgoing what;
    what.name = oci::reference_name(image.name);
    what.customer = exchange.request().caller.customer;
    what.image = std::move(image);
    co_return co_await send_layout(exports, exchange, std::move(what));
}

// As whom and where its programs run says the image that its box was made of, as far as that is still there.
ImageRecord image_of(const Services& services, const SnapshotRecord& snapshot) {
    const auto made_of = services.images.find(snapshot.image);
    ImageRecord image = made_of.ok() ? made_of.value() : Snapshots::as_image(snapshot);
    image.layers = snapshot.layers;
    image.created_at = snapshot.created_ms / 1000;
    for (const auto& variable : snapshot.env) {
        std::erase_if(image.env, [&variable](const auto& older) { return older.first == variable.first; });
        image.env.push_back(variable);
    }
    return image;
}

Answer export_snapshot(Services& services, Exports& exports, Exchange& exchange, const Params& params) {
    const auto box = find_box(services, exchange, params);  // a snapshot outlives it
    const std::string of = box.ok() ? box.value()->record.id : params.at("id");
    CO_TRY_LET(const SnapshotRecord snapshot, find_snapshot(services, exchange, params.at("snapshot"), of));
    if (snapshot.box != of) {
        co_return Error{ErrorKind::kNotFound, 0, "snapshot " + snapshot.id + " is of another box"};
    }
    Outgoing what;
    const std::string& box_name = snapshot.box_name.empty() ? snapshot.box : snapshot.box_name;
    what.name = oci::repository_name(box_name) + ":" + oci::tag_name(snapshot.name);
    what.customer = exchange.request().caller.customer;
    what.image = image_of(services, snapshot);
    co_return co_await send_layout(exports, exchange, std::move(what));
}

}  // namespace

void add_export_routes(Router& router, Services& services, Exports& exports) {
    router.add("GET", "/v2/images/{name}/oci", [&](Exchange& exchange, const Params& params) {
        return save_image(services, exports, exchange, params);
    });
    router.add("GET", "/v2/box/{id}/snapshots/{snapshot}/oci", [&](Exchange& exchange, const Params& params) {
        return export_snapshot(services, exports, exchange, params);
    });
}

}  // namespace hutch::daemon
