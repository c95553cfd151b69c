#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/box/manager.h"
#include "daemon/box/meter.h"

namespace hutch::daemon {

/// Ports of boxes that are published under public URLs: which there are, who may use them, and who does so now. What
/// comes by a URL is the proxy's business. Event loop thread only.
class Previews {
  public:
    static constexpr size_t kMostOfBox = 100;         ///< published ports
    static constexpr size_t kMostVisitsOfBox = 1024;  ///< to all of them, at a time

    Previews(Manager& boxes, Meter& meter);

    /// kUnsupported, saying what the operator does, where this host has no public URLs.
    [[nodiscard]] Result<void> check_served() const;

    struct Wish {
        uint16_t port = 0;
        bool token = false;  ///< a bearer token opens it
        bool basic = false;  ///< a user's name and a password do; with both, either
    };
    /// What is told but once.
    struct Made {
        std::string url, token, user, password;
    };
    /// Publishes a port, in place of what was published of it: connections by that are cut. Safe from a power cut.
    Task<Result<Made>> publish(std::shared_ptr<Box> box, Wish wish);
    /// Takes it back, and cuts its connections; kNotFound for one that is not published.
    Task<Result<void>> withdraw(std::shared_ptr<Box> box, uint16_t port);
    [[nodiscard]] Result<std::vector<PreviewRecord>> list(const Box& box) const;
    [[nodiscard]] std::string url_of(const PreviewRecord& preview) const;

    /// What is published, and its box. kNotFound, in the same words, whatever of it is missing.
    struct Found {
        std::shared_ptr<Box> box;
        PreviewRecord preview;
    };
    [[nodiscard]] Result<Found> find(const std::string& box, uint16_t port) const;

    class Visit;
    /// Those of one box, and how many of them each network has.
    struct VisitsOfBox {
        std::set<Visit*> all;
        std::map<std::string, size_t> by_network;
    };
    using Visits = std::map<std::string, VisitsOfBox>;  ///< by the id of their box

    /// A request to what is published, to the end of its answer or of its WebSocket, counted as its box's and its
    /// customer's until then. Holds on to the books: a coroutine that is never resumed is destroyed with the event
    /// loop, which may be after them.
    class Visit {
      public:
        Visit(std::shared_ptr<Visits> visits, const PreviewRecord& preview, std::string network,
              CustomerLimits::Hold place, std::function<void()> cut);
        Visit(const Visit&) = delete;
        Visit& operator=(const Visit&) = delete;
        ~Visit();

      private:
        friend class Previews;
        std::shared_ptr<Visits> visits_;
        std::string box_;
        std::string preview_;
        std::string network_;
        CustomerLimits::Hold place_;
        std::function<void()> cut_;
    };
    /// `network`: where it comes from. Where connections are limited by address, however many networks take all that
    /// they can, the next one is let in. `cut` ends the connection; it is called when the preview is taken back. What
    /// the errors say is for strangers: kConflict where the box, kLimit where its customer or the network has as many
    /// as it may.
    Result<std::unique_ptr<Visit>> enter(const Found& found, const std::string& network, std::function<void()> cut);

    /// So many bytes came to the box, and from it: activity, and use that is booked.
    void count(Box& box, size_t received, size_t sent);
    /// Books what was counted and is not booked, before the end.
    void book();

  private:
    [[nodiscard]] PreviewRecord make(const Box& box, Wish wish, Made& told) const;
    void cut(const std::string& preview);

    Manager& boxes_;
    Meter& meter_;
    std::shared_ptr<Visits> visits_ = std::make_shared<Visits>();
};

/// Whether `credential`, the value of an Authorization field, opens a preview that asks for one.
bool opens(const PreviewRecord& preview, const std::string& credential);

}  // namespace hutch::daemon
