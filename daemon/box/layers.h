#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/box/mechanisms.h"

namespace hutch::daemon {

/// Which layers of the store are still needed: derived from what those say who keep stacks of them, never counted.
/// Event loop thread only.
class Layers {
  public:
    using Uses = std::function<bool(const std::string& layer)>;

    explicit Layers(Mechanisms& mechanisms) : mechanisms_(mechanisms) {}

    /// Somebody who may need layers. Called until the end of this object.
    void add_user(Uses uses) { users_.push_back(std::move(uses)); }
    [[nodiscard]] bool used(const std::string& layer) const;
    /// The first of them that is not in the store.
    [[nodiscard]] std::optional<std::string> missing(const std::vector<std::string>& layers) const;
    /// Moves those that nobody needs to the trash. What cannot be moved is found by the next start.
    void drop_unused(const std::vector<std::string>& layers);

  private:
    Mechanisms& mechanisms_;
    std::vector<Uses> users_;
};

bool contains(const std::vector<std::string>& layers, const std::string& layer);

}  // namespace hutch::daemon
