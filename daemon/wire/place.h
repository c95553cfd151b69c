#pragma once

#include <string>
#include <string_view>

namespace hutch::daemon {

/// Where in a tree of values a walk is. A chain on the stack: only an error makes text of it, so that long names high
/// in the tree cost nothing for each of the many values below them.
class Place {
  public:
    explicit Place(std::string_view root) : name_(root) {}
    /// The member `name` of `outer`; `sign` parts the two. The name stays the caller's.
    Place(const Place& outer, char sign, std::string_view name) : outer_(&outer), sign_(sign), name_(name) {}
    /// An item of `outer`.
    Place(const Place& outer, size_t index) : outer_(&outer), sign_('['), index_(index) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() = default;

    /// In about kMostText bytes, whatever the tree.
    [[nodiscard]] std::string text() const {
        std::string all = step();
        for (const Place* at = outer_; at != nullptr; at = at->outer_) {
            if (all.size() > kMostText) return "..." + all;
            all.insert(0, at->step());
        }
        return all;
    }

  private:
    static constexpr size_t kMostText = 400;
    static constexpr size_t kMostName = 100;

    [[nodiscard]] std::string step() const {
        if (sign_ == '[') return "[" + std::to_string(index_) + "]";
        std::string text = sign_ == 0 ? "" : std::string(1, sign_);
        text += name_.substr(0, kMostName);
        return name_.size() > kMostName ? text + "..." : text;
    }

    const Place* outer_ = nullptr;
    char sign_ = 0;
    std::string_view name_;
    size_t index_ = 0;
};

}  // namespace hutch::daemon
