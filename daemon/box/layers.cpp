#include "daemon/box/layers.h"

#include <algorithm>

#include "daemon/log.h"
#include "overlayfs/layer.h"

namespace hutch::daemon {

bool Layers::used(const std::string& layer) const {
    return std::any_of(users_.begin(), users_.end(), [&layer](const Uses& uses) { return uses(layer); });
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
        if (used(layer)) continue;
        const auto dropped = overlayfs::discard_layer(mechanisms_.store, layer);
        if (!dropped.ok()) log_warning("{}; the next start tries again", dropped.error().message);
        mechanisms_.reaper->nudge();
    }
}

bool contains(const std::vector<std::string>& layers, const std::string& layer) {
    return std::find(layers.begin(), layers.end(), layer) != layers.end();
}

}  // namespace hutch::daemon
