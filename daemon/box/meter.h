#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/box/box.h"
#include "daemon/box/layers.h"
#include "daemon/box/mechanisms.h"
#include "daemon/store/records.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// The month of a moment (Unix milliseconds) by UTC: "2026-11".
std::string period_of(int64_t unix_ms);

/// What storage is billed by: so many bytes for so long.
int64_t byte_seconds(int64_t bytes, std::chrono::duration<double> held);

/// What of a box stands in no usage record yet: it has used `used` since it was made, and held `box.disk_bytes` for
/// `held` since that was last booked.
UsageRecord unbooked(const BoxRecord& box, const LifeUse& used, std::chrono::milliseconds held, int64_t now_ms);

/// Keeps the books on what boxes use, from what the kernel counts. Counters of a living box need no watching: they
/// stand in the kernel, and what is booked is the difference to what was booked before, so that neither a crash nor a
/// booking too many changes a sum. When something is booked decides only which month it falls into: full hours, the end
/// of a life. Event loop thread only.
class Meter {
  public:
    Meter(asio::any_io_executor executor, Mechanisms& mechanisms, Records& records, Layers& layers);

    /// What its present life has used; nothing of a box without one.
    [[nodiscard]] LifeUse used_by(const Box& box) const;
    /// What the box has used that is not in the records, as it is now.
    [[nodiscard]] UsageRecord pending(const Box& box) const;
    /// Writes that down, with the box's record.
    Result<void> book(Box& box);
    /// Its life is over: `last` is what the kernel said of all of it, and joins the past in the same transaction.
    Result<void> close(Box& box, const LifeUse& last);
    /// Adds up the files of a box in the background, if it may have changed any since that was last done.
    Task<> measure(std::shared_ptr<Box> box);
    /// The same for the limits of its customer, now, whatever is done with the box meanwhile: of all these, which are
    /// one customer's.
    Task<> look(std::vector<std::shared_ptr<Box>> boxes);
    /// Looks again at what the box holds of its layers: after somebody else who held them has gone.
    void weigh(const std::shared_ptr<Box>& box);
    /// At each full hour: books and measures all of these, and has `others` book what is theirs; until the loop ends.
    Task<> keep_books(std::function<std::vector<std::shared_ptr<Box>>()> boxes, std::function<Task<>()> others);
    /// What is being measured is given up; before the end of the loop.
    void stop() { stop_.request_stop(); }

  private:
    [[nodiscard]] static UsageRecord since_booked(const Box& box, const LifeUse& used);
    Result<void> write(Box& box, const LifeUse& used);

    asio::any_io_executor executor_;
    Mechanisms& mechanisms_;
    Records& records_;
    Layers& layers_;
    std::stop_source stop_;
    Workers measurers_{2, 0, Urgency::kBehind};  ///< not the workers of requests: a large tree takes seconds
};

}  // namespace hutch::daemon
