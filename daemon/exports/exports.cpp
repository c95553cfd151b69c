#include "daemon/exports/exports.h"

#include <algorithm>
#include <utility>

#include "archives/file_list.h"
#include "daemon/clock.h"
#include "daemon/digest.h"
#include "daemon/spawn.h"
#include "daemon/wire/oci_layout.h"

namespace hutch::daemon {
namespace {

constexpr size_t kPieceOfBlob = size_t{1} << 20;

std::string user_for_others(const ImageRecord& image) {
    // By numbers: an image that knows the user by none has no such name in its passwd.
    return image.user == "boxuser" ? "1000:1000" : image.user == "root" ? "" : image.user;
}

oci::Descriptor descriptor_of_text(std::string_view media_type, const std::string& text) {
    return {
        .media_type = std::string(media_type), .digest = digest_of(text), .size = static_cast<int64_t>(text.size())};
}

}  // namespace

oci::ImageConfig config_of(const ImageRecord& image, std::vector<std::string> diff_ids) {
    const oci::Platform platform = oci::own_platform();
    oci::ImageConfig config{.architecture = platform.architecture, .os = platform.os};
    config.user = user_for_others(image);
    config.env.assign(image.env.begin(), image.env.end());
    config.entrypoint = image.entrypoint;
    config.cmd = image.cmd;
    // Who names no command gets a shell, as from images of others; without one `docker run IMAGE` is refused.
    if (config.entrypoint.empty() && config.cmd.empty()) config.cmd.emplace_back("/bin/sh");
    config.work_dir = image.work_dir;
    config.ports = image.ports;
    config.labels.assign(image.labels.begin(), image.labels.end());
    config.diff_ids = std::move(diff_ids);
    config.created = rfc3339(image.created_at);
    return config;
}

struct Exports::Layout {
    archives::FileList files;
    std::vector<std::string> diff_ids{};  ///< bottom first, as those below
    std::vector<oci::Descriptor> layers{};
    std::set<std::string> written{};  ///< digests of blobs: two layers may be alike, and names in an archive may not
};

Exports::InHand::InHand(Exports& exports, std::vector<std::string> layers)
    : exports_(exports), layers_(std::move(layers)) {
    exports_.in_hand_.insert(layers_.begin(), layers_.end());
}

Exports::InHand::~InHand() {
    for (const std::string& layer : layers_) exports_.in_hand_.erase(exports_.in_hand_.find(layer));
    exports_.boxes_.layers().drop_unused(layers_);
}

Exports::Exports(Manager& boxes) : boxes_(boxes) {
    boxes_.layers().add_user([this](const std::string& layer) { return in_hand_.contains(layer); });
}

Result<void> Exports::check_layers(const ImageRecord& image) {
    if (image.layers.size() <= oci::kMaxLayers) return {};
    return invalid("it has more layers than others take, " + std::to_string(oci::kMaxLayers));
}

Result<std::shared_ptr<const void>> Exports::take_turn(const std::string& customer) {
    if (under_way_.size() >= kMostExports || under_way_.count(customer) >= kMostExportsEach) {
        return Error{ErrorKind::kLimit, 0,
                     "as many images and snapshots are on their way out as may be, " +
                         std::to_string(kMostExportsEach) + " of one customer and " + std::to_string(kMostExports) +
                         " in all; try again when one of them is done"};
    }
    const auto one = under_way_.insert(customer);
    return std::shared_ptr<const void>(nullptr, [this, one](const void*) { under_way_.erase(one); });
}

Result<void> Exports::note(const std::string& layer, const LayerBlob& blob, const std::string& chain_id) {
    const auto known = TRY(boxes_.records().blobs_of(layer));
    if (std::any_of(known.begin(), known.end(), [&](const auto& one) { return one.digest == blob.digest; })) return {};
    return boxes_.records().put_blob({.layer = layer,
                                      .chain_id = chain_id,
                                      .diff_id = blob.diff_id,
                                      .digest = blob.digest,
                                      .media_type = std::string(oci::kGzipLayerType),
                                      .bytes = blob.bytes});
}

Task<Result<LayerBlob>> Exports::make_blob(std::vector<std::string> stack, std::string customer, const Gone& gone) {
    std::stop_source left;
    const std::stop_callback ending(stop_.get_token(), [&left] { left.request_stop(); });
    Result<LayerBlob> blob = errno_error("writing a layer as an archive", ECANCELED);
    const auto work = [&]() -> Task<> {
        const auto write = [&] { return write_blob(boxes_.mechanisms().store, stack, left.get_token()); };
        blob = co_await packers_.run_for(customer, write);
    };
    const auto over = [&]() -> Task<> {
        co_await gone();
        left.request_stop();
    };
    (void)co_await ends_before(work(), over());
    co_return std::move(blob);
}

Task<Result<void>> Exports::send_layers(const Outgoing& what, Layout& layout, const Taker& taker, const Gone& gone) {
    const auto& layers = what.image.layers;
    std::string chain;
    for (size_t at = layers.size(); at-- > 0;) {
        std::vector<std::string> stack(layers.begin() + static_cast<std::ptrdiff_t>(at), layers.end());
        auto made = co_await make_blob(std::move(stack), what.customer, gone);
        if (!made.ok()) co_return std::move(made).error();
        const auto blob = std::make_shared<LayerBlob>(std::move(made).value());
        chain = chain_id(chain, blob->diff_id);
        CO_TRY(note(layers[at], *blob, chain));
        layout.diff_ids.push_back(blob->diff_id);
        layout.layers.push_back(
            {.media_type = std::string(oci::kGzipLayerType), .digest = blob->digest, .size = blob->bytes});
        if (!layout.written.insert(blob->digest).second) continue;
        CO_TRY(layout.files.begin(oci::blob_path(blob->digest), static_cast<uint64_t>(blob->bytes)));
        for (int64_t sent = 0; sent < blob->bytes;) {
            const auto read = [blob, sent] { return read_blob(*blob, sent, kPieceOfBlob); };
            CO_TRY_LET(const std::string piece, co_await readers_.run(read));
            sent += static_cast<int64_t>(piece.size());
            CO_TRY(layout.files.write(piece));
            const std::string bytes = layout.files.take();
            CO_TRY(co_await taker(bytes));
        }
    }
    co_return Result<void>();
}

// The documents, which name the layers, come after them: only then their digests are known.
Result<std::string> Exports::end_layout(const Outgoing& what, Layout& layout) {
    std::vector<std::string> paths;
    for (const oci::Descriptor& layer : layout.layers) paths.push_back(oci::blob_path(layer.digest));
    const std::string config = dump(config_of(what.image, layout.diff_ids));
    const oci::Descriptor config_name = descriptor_of_text(oci::kConfigType, config);
    const std::string manifest = dump(oci::Manifest{.config = config_name, .layers = layout.layers});
    oci::Descriptor entry = descriptor_of_text(oci::kManifestType, manifest);
    entry.platform = oci::own_platform();
    entry.annotations[oci::kNameAnnotation] = what.name;
    entry.annotations[oci::kContainerdNameAnnotation] = oci::containerd_name(what.name);
    TRY(layout.files.add(oci::blob_path(config_name.digest), config));
    TRY(layout.files.add(oci::blob_path(entry.digest), manifest));
    TRY(layout.files.add(oci::kIndexName, dump(oci::Index{.manifests = {entry}})));
    TRY(layout.files.add(oci::kDockerManifestName,
                         oci::docker_manifest(oci::blob_path(config_name.digest), what.name, paths)));
    TRY(layout.files.finish());
    return layout.files.take();
}

Task<Result<void>> Exports::save(Outgoing what, Taker taker, Gone gone) {
    CO_TRY_LET(const auto pass, boxes_.enter());
    CO_TRY(check_layers(what.image));
    CO_TRY_LET(const auto turn, take_turn(what.customer));
    const InHand held(*this, what.image.layers);
    CO_TRY_LET(auto files, archives::FileList::open());
    Layout layout{.files = std::move(files)};
    CO_TRY(layout.files.add(oci::kLayoutName, oci::kLayoutText));
    CO_TRY(co_await send_layers(what, layout, taker, gone));
    CO_TRY_LET(const std::string last, end_layout(what, layout));
    co_return co_await taker(last);
}

}  // namespace hutch::daemon
