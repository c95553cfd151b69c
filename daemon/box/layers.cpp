#include "daemon/box/layers.h"

#include <algorithm>

#include "daemon/log.h"
#include "daemon/spawn.h"
#include "overlayfs/layer.h"

namespace hutch::daemon {

Layers::Layers(asio::any_io_executor executor, Mechanisms& mechanisms, Records& records)
    : executor_(std::move(executor)), mechanisms_(mechanisms), records_(records) {}

void Layers::set_boxes(Uses uses, Boxes standing) {
    boxes_use_ = std::move(uses);
    boxes_on_ = std::move(standing);
}

bool Layers::used_by_others(const std::string& layer) const {
    return std::any_of(users_.begin(), users_.end(), [&layer](const Uses& uses) { return uses(layer); });
}

bool Layers::used(const std::string& layer) const {
    return used_by_others(layer) || boxes_use_(layer);  // those that are quick to tell first
}

std::optional<std::string> Layers::missing(const std::vector<std::string>& layers) const {
    for (const std::string& layer : layers) {
        const auto there = overlayfs::has_layer(mechanisms_.store, layer);
        if (!there.ok() || !there.value()) return layer;
    }
    return std::nullopt;
}

void Layers::drop_unused(const std::vector<std::string>& layers) {
    for (const std::string& layer : layers) {
        if (used(layer) || clear_stock_(layer)) continue;
        const auto dropped = overlayfs::discard_layer(mechanisms_.store, layer);
        if (!dropped.ok()) log_warning("{}; the next start tries again", dropped.error().message);
        mechanisms_.reaper->nudge();
        if (known_.erase(layer) > 0) (void)records_.drop_layer(layer);  // else load() does
        (void)records_.drop_blobs(layer);                               // the same
    }
}

Result<void> Layers::load() {
    for (LayerRecord& record : TRY(records_.layers())) {
        if (used(record.id)) {
            const std::string id = record.id;
            known_[id] = std::move(record);
        } else {
            TRY(records_.drop_layer(record.id));
        }
    }
    for (const std::string& layer : TRY(records_.layers_with_blobs())) {
        if (!used(layer)) TRY(records_.drop_blobs(layer));
    }
    return {};
}

std::optional<int64_t> Layers::bytes(const std::string& layer) const {
    const auto found = known_.find(layer);
    return found == known_.end() ? std::nullopt : found->second.bytes;
}

void Layers::add_up(std::vector<std::string> layers, std::function<void()> done) {
    std::erase_if(layers, [this](const std::string& layer) { return bytes(layer).has_value(); });
    if (layers.empty()) return done();
    spawn(executor_, "adding up layer " + layers.front(), measure(layers, std::move(done)));
}

Task<> Layers::measure(std::vector<std::string> layers, std::function<void()> done) {
    for (const std::string& layer : layers) {
        if (bytes(layer) || !used(layer)) continue;  // somebody else asked for it too, or it is gone
        const auto counted =
            co_await adders_.run([&] { return overlayfs::layer_bytes(mechanisms_.store, layer, stop_.get_token()); });
        if (!counted.ok()) {
            if (stop_.stop_requested()) co_return;
            if (used(layer)) log_warning("{}", counted.error().message);
            continue;
        }
        if (!used(layer)) continue;
        learn(layer, static_cast<int64_t>(counted.value()));
    }
    done();
}

void Layers::learn(const std::string& layer, int64_t bytes) {
    LayerRecord& record = known_[layer];
    record.id = layer;
    record.bytes = bytes;
    const auto kept = records_.put_layer(record);
    if (!kept.ok()) log_warning("layer {}: its size cannot be recorded: {}", layer, kept.error().message);
}

void Layers::belongs_to_image(const std::string& layer) {
    LayerRecord& record = known_[layer];
    if (std::exchange(record.of_image, true)) return;
    record.id = layer;
    const auto kept = records_.put_layer(record);
    if (!kept.ok()) log_warning("layer {}: whose it is cannot be recorded: {}", layer, kept.error().message);
}

int64_t Layers::share(const std::vector<std::string>& layers) const {
    int64_t sum = 0;
    for (const std::string& layer : layers) {
        const auto found = known_.find(layer);
        if (found == known_.end() || found->second.of_image || used_by_others(layer)) continue;
        const auto boxes = static_cast<int64_t>(std::max<size_t>(boxes_on_(layer), 1));
        sum += found->second.bytes.value_or(0) / boxes;
    }
    return sum;
}

bool contains(const std::vector<std::string>& layers, const std::string& layer) {
    return std::find(layers.begin(), layers.end(), layer) != layers.end();
}

}  // namespace hutch::daemon
