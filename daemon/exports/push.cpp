// Images and snapshots on their way to a registry.

#include <algorithm>
#include <utility>

#include "daemon/digest.h"
#include "daemon/exports/exports.h"
#include "daemon/registry/repository.h"
#include "daemon/spawn.h"
#include "daemon/wire/reference.h"

namespace hutch::daemon {
namespace {

// Docker's own name for the same bytes is no type of an OCI manifest.
std::string oci_type_of(const std::string& media_type) {
    return std::string(media_type == oci::kDockerLayerType ? oci::kGzipLayerType : media_type);
}

PushedLayer pushed_layer(const LayerBlobRecord& blob, bool sent) {
    return {.diff_id = blob.diff_id,
            .descriptor = {.media_type = oci_type_of(blob.media_type), .digest = blob.digest, .size = blob.bytes},
            .sent = sent};
}

/// What it is called at the registry, by what is known of its layers.
struct Documents {
    std::string config, manifest, config_digest, manifest_digest;
};

Documents documents_of(const ImageRecord& image, const std::vector<PushedLayer>& layers) {
    std::vector<std::string> diff_ids;
    oci::Manifest manifest;
    for (const PushedLayer& layer : layers) {
        diff_ids.push_back(layer.diff_id);
        manifest.layers.push_back(layer.descriptor);
    }
    Documents documents;
    documents.config = dump(config_of(image, std::move(diff_ids)));
    documents.config_digest = digest_of(documents.config);
    manifest.config = {.media_type = std::string(oci::kConfigType),
                       .digest = documents.config_digest,
                       .size = static_cast<int64_t>(documents.config.size())};
    documents.manifest = dump(manifest);
    documents.manifest_digest = digest_of(documents.manifest);
    return documents;
}

}  // namespace

// What a layer was called first is what it is called again, so that what has not changed is known by one look.
Result<std::vector<PushedLayer>> Exports::known_layers(const ImageRecord& image) {
    std::vector<PushedLayer> layers;
    for (size_t at = image.layers.size(); at-- > 0;) {
        const auto blobs = TRY(boxes_.records().blobs_of(image.layers[at]));
        if (blobs.empty()) return std::vector<PushedLayer>();
        layers.push_back(pushed_layer(blobs.front(), false));
    }
    return layers;
}

Task<Result<bool>> Exports::is_there(Repository& to, const ImageRecord& image, std::string digest) {
    CO_TRY_LET(const bool there, co_await to.has_blob(digest));
    if (there || image.source.empty()) co_return there;
    const auto source = parse_reference(image.source);
    const bool beside = source.ok() && source.value().host == to.reference().host &&
                        source.value().repository != to.reference().repository;
    if (!beside) co_return false;
    co_return co_await to.mount(digest, source.value().repository);
}

Task<Result<PushedLayer>> Exports::push_layer(const Outgoing& what, size_t at, std::string chain, Repository& to,
                                              const Gone& gone) {
    const std::string& layer = what.image.layers[at];
    CO_TRY_LET(const auto blobs, boxes_.records().blobs_of(layer));
    for (const LayerBlobRecord& blob : blobs) {
        CO_TRY_LET(const bool there, co_await is_there(to, what.image, blob.digest));
        if (there) co_return pushed_layer(blob, false);
    }
    std::vector<std::string> stack(what.image.layers.begin() + static_cast<std::ptrdiff_t>(at),
                                   what.image.layers.end());
    auto made = co_await make_blob(std::move(stack), what.customer, gone);
    if (!made.ok()) co_return std::move(made).error();
    LayerBlob blob = std::move(made).value();
    CO_TRY(note(layer, blob, chain_id(chain, blob.diff_id)));
    CO_TRY_LET(const bool there, co_await is_there(to, what.image, blob.digest));
    if (!there) {
        const auto file = std::make_shared<const UniqueFd>(std::move(blob.file));
        CO_TRY(co_await to.upload(blob.digest, file, blob.bytes));
    }
    PushedLayer pushed;
    pushed.diff_id = blob.diff_id;
    pushed.descriptor.media_type = oci::kGzipLayerType;
    pushed.descriptor.digest = blob.digest;
    pushed.descriptor.size = blob.bytes;
    pushed.sent = !there;
    co_return pushed;
}

Task<Result<std::string>> Exports::push(Outgoing what, std::shared_ptr<Repository> to, std::string tag, Heard heard,
                                        Gone gone) {
    CO_TRY_LET(const auto pass, boxes_.enter());
    CO_TRY(check_layers(what.image));
    CO_TRY_LET(const auto turn, take_turn(what.customer));
    const InHand held(*this, what.image.layers);
    CO_TRY_LET(const auto known, known_layers(what.image));
    if (!known.empty()) {
        const Documents documents = documents_of(what.image, known);
        CO_TRY_LET(const std::string there, co_await to->tag_digest(tag));
        if (there == documents.manifest_digest) co_return there;
    }
    std::vector<PushedLayer> layers;
    std::string chain;
    for (size_t at = what.image.layers.size(); at-- > 0;) {
        auto pushed = co_await push_layer(what, at, chain, *to, gone);
        if (!pushed.ok()) co_return std::move(pushed).error();
        chain = chain_id(chain, pushed->diff_id);
        layers.push_back(pushed.value());
        CO_TRY(co_await heard(layers.back()));
    }
    Documents documents = documents_of(what.image, layers);
    CO_TRY_LET(const bool configured, co_await to->has_blob(documents.config_digest));
    if (!configured) CO_TRY(co_await to->upload_text(documents.config_digest, documents.config));
    const std::string type(oci::kManifestType);
    CO_TRY(co_await to->put_manifest(type, documents.manifest, tag));
    co_return documents.manifest_digest;
}

}  // namespace hutch::daemon
