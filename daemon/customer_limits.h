#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/store/records.h"

namespace hutch::daemon {

/// What customers share, and each may take only so much of.
enum class Resource {
    kBoxes,               ///< those being deleted included
    kCommands,            ///< under way, terminals and prompts included
    kMemory,              ///< bytes: the sizes of awake boxes, added up
    kDisk,                ///< bytes: what boxes have written, and snapshots
    kSnapshots,           ///< those of deleted boxes included
    kConnections,         ///< over TCP, with an API key
    kFollowers,           ///< of events
    kModelTokens,         ///< of models, through the gateway, today by UTC
    kPreviewConnections,  ///< of anybody, to ports that its boxes publish
    kSchedules,           ///< of all its boxes, paused ones included
};
inline constexpr std::array kAllResources{Resource::kBoxes,     Resource::kCommands,    Resource::kMemory,
                                          Resource::kDisk,      Resource::kSnapshots,   Resource::kConnections,
                                          Resource::kFollowers, Resource::kModelTokens, Resource::kPreviewConnections,
                                          Resource::kSchedules};

/// As the API and the records call it: "boxes", "memory_bytes".
const char* name_of(Resource resource);

/// How much each customer may take, and how much it has taken. The host's own customer is counted, and not limited.
/// Event loop thread only.
class CustomerLimits {
  public:
    /// One for each resource; none: without a limit.
    using Limits = std::array<std::optional<int64_t>, kAllResources.size()>;
    struct Setting {
        Resource resource;
        int64_t limit;  ///< 0: none
    };

    /// `defaults`, `nesting` and `pull` are those of a customer of whom nothing else was said.
    static Result<CustomerLimits> load(Records& records, const Limits& defaults, bool nesting = false,
                                       bool pull = false);

    [[nodiscard]] std::optional<int64_t> limit(const std::string& customer, Resource resource) const;
    [[nodiscard]] int64_t used(const std::string& customer, Resource resource) const;
    /// Of all customers, by holds alone.
    [[nodiscard]] int64_t used_by_all(Resource resource) const;
    /// Whether its boxes may be made with nesting.
    [[nodiscard]] bool may_nest(const std::string& customer) const;
    /// kForbidden, naming what to do, when they may not.
    [[nodiscard]] Result<void> check_nesting(const std::string& customer) const;
    /// Whether it may have images of registries. The host's own customer may.
    [[nodiscard]] bool may_pull(const std::string& customer) const;
    /// kForbidden, naming what to do, when it may not.
    [[nodiscard]] Result<void> check_pull(const std::string& customer) const;
    /// All of them or none; when only the disk has failed (Records::durably), all. What is held beyond a lower limit
    /// stays, and so do boxes with nesting.
    Task<Result<void>> set(std::string customer, std::vector<Setting> settings, std::optional<bool> nesting = {},
                           std::optional<bool> pull = {});
    /// Adds what somebody counts himself to what is held. Called until the end of this object.
    using Measure = std::function<int64_t(const std::string& customer)>;
    void add_measure(Resource resource, Measure measure);
    /// Called after each set(), until the end of this object.
    void on_change(std::function<void()> changed) { changed_ = std::move(changed); }

  private:
    using Counts = std::array<int64_t, kAllResources.size()>;
    using Book = std::map<std::string, Counts>;  ///< by customer

  public:
    /// A part of a customer's share, taken until this ends.
    class Hold {
      public:
        Hold() = default;
        Hold(std::shared_ptr<Book> book, std::string customer, Resource resource, int64_t amount);
        Hold(Hold&&) = default;
        Hold(const Hold&) = delete;
        Hold& operator=(Hold&& other) noexcept;
        Hold& operator=(const Hold&) = delete;
        ~Hold() { let_go(); }
        [[nodiscard]] explicit operator bool() const { return book_ != nullptr; }

      private:
        void let_go();
        std::shared_ptr<Book> book_;
        std::string customer_;
        Resource resource_ = Resource::kBoxes;
        int64_t amount_ = 0;
    };

    /// kLimit, naming the limit, what is used of it and what to do, when there is not so much left.
    Result<Hold> take(const std::string& customer, Resource resource, int64_t amount = 1);
    /// The same, and takes none.
    [[nodiscard]] Result<void> check(const std::string& customer, Resource resource, int64_t amount) const;
    /// For what is there already, whatever the limit.
    Hold note(const std::string& customer, Resource resource, int64_t amount = 1);

  private:
    CustomerLimits(Records& records, const Limits& defaults, bool nesting, bool pull)
        : records_(&records), defaults_(defaults), nesting_(nesting), pull_(pull) {}

    Records* records_;
    Limits defaults_;
    bool nesting_;
    bool pull_;
    std::map<std::string, std::map<Resource, int64_t>> set_;  ///< by customer
    std::map<std::string, bool> set_nesting_;                 ///< the same
    std::map<std::string, bool> set_pull_;                    ///< the same
    std::vector<std::pair<Resource, Measure>> measures_;
    std::function<void()> changed_;
    std::shared_ptr<Book> book_ = std::make_shared<Book>();
};

/// What a customer may take of a host with so much memory and so large a store (bytes; 0: not known).
CustomerLimits::Limits default_limits(int64_t host_memory, int64_t store);

}  // namespace hutch::daemon
