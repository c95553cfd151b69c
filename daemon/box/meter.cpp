#include "daemon/box/meter.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "overlayfs/upper.h"

namespace hutch::daemon {

std::string period_of(int64_t unix_ms) {
    using namespace std::chrono;
    const year_month_day day(floor<days>(sys_time<milliseconds>(milliseconds(unix_ms))));
    return fmt::format("{:04}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()));
}

int64_t byte_seconds(int64_t bytes, std::chrono::duration<double> held) {
    return static_cast<int64_t>(static_cast<double>(bytes) * std::max(held.count(), 0.0));
}

UsageRecord unbooked(const BoxRecord& box, const LifeUse& used, std::chrono::milliseconds held, int64_t now_ms) {
    return {.box = box.id,
            .customer = box.customer,
            .name = box.name,
            .period = period_of(now_ms),
            .counters = (box.past + used.counters).since(box.booked),
            .memory_peak_bytes = used.memory_peak_bytes,
            .storage_byte_seconds = byte_seconds(box.disk_bytes, held)};
}

namespace {

std::chrono::milliseconds held(const Box& box) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Moment::clock::now() - box.booked_at);
}

}  // namespace

Meter::Meter(asio::any_io_executor executor, Mechanisms& mechanisms, Records& records, Layers& layers)
    : executor_(std::move(executor)), mechanisms_(mechanisms), records_(records), layers_(layers) {}

UsageRecord Meter::since_booked(const Box& box, const LifeUse& used) {
    UsageRecord usage = unbooked(box.record, used, held(box), unix_now_ms());
    usage.storage_byte_seconds += byte_seconds(box.layer_bytes, held(box));
    return usage;
}

LifeUse Meter::used_by(const Box& box) const {
    if (!box.alive()) return {};
    const auto used = use_of(mechanisms_, box.life().group, box.life().address);
    if (used.ok()) return used.value();
    log_warning("box {}: what it uses cannot be read: {}", box.record.id, used.error().message);
    return {};
}

UsageRecord Meter::pending(const Box& box) const {
    return since_booked(box, used_by(box));
}

// All of it or nothing: the record in memory goes with that on disk.
Result<void> Meter::write(Box& box, const LifeUse& used) {
    BoxRecord& record = box.record;
    const int64_t now_ms = unix_now_ms();
    const UsageRecord usage = since_booked(box, used);
    const Counters booked = record.booked;
    const int64_t booked_ms = record.booked_ms;
    record.booked += usage.counters;
    record.booked_ms = now_ms;
    const auto written = records_.together([&]() -> Result<void> {
        if (!record.internal) TRY(records_.add_usage(usage));
        return records_.put_box(record);
    });
    if (written.ok()) {
        box.booked_at = Moment::clock::now();
    } else {
        record.booked = booked;
        record.booked_ms = booked_ms;
    }
    return written;
}

Result<void> Meter::book(Box& box) {
    if (box.record.phase != Phase::kReady) return {};
    return write(box, used_by(box));
}

Result<void> Meter::close(Box& box, const LifeUse& last) {
    BoxRecord& record = box.record;
    const Counters past = record.past;
    const int64_t init_pid = std::exchange(record.init_pid, 0);
    // What came over the link after the last reading of it is not known: never less than was booked.
    if (init_pid != 0) record.past = (past + last.counters).at_least(record.booked);
    const auto written = write(box, {{}, last.memory_peak_bytes});
    if (written.ok()) {
        box.ending_cpu_ns = 0;
    } else {
        record.past = past;
        record.init_pid = init_pid;
    }
    return written;
}

void Meter::weigh(const std::shared_ptr<Box>& box) {
    layers_.add_up(box->record.layers, [this, box] {
        const int64_t share = layers_.share(box->record.layers);
        if (share == box->layer_bytes || box->record.phase != Phase::kReady) return;
        const auto booked = book(*box);  // until now it held what was found before
        if (booked.ok()) box->layer_bytes = share;
        if (!booked.ok()) log_warning("box {}: {}", box->record.id, booked.error().message);
    });
}

Task<> Meter::look(std::vector<std::shared_ptr<Box>> boxes) {
    if (boxes.empty()) co_return;
    const std::string customer = boxes.front()->record.customer;
    std::vector<std::string> ids;
    std::vector<std::vector<std::string>> layers;
    for (const auto& box : boxes) {
        ids.push_back(box->record.id);
        layers.push_back(box->record.layers);
    }
    std::vector<std::optional<int64_t>> bytes(ids.size());
    (void)co_await measurers_.run_for(customer, [&]() -> Result<void> {
        for (size_t i = 0; i < ids.size(); ++i) {
            const auto counted = overlayfs::upper_bytes(mechanisms_.store, ids[i], stop_.get_token());
            if (counted.ok()) bytes[i] = static_cast<int64_t>(counted.value());  // else it is being deleted
        }
        return {};
    });
    for (size_t i = 0; i < boxes.size(); ++i) {
        if (boxes[i]->record.layers != layers[i]) continue;  // these are a layer's files by now
        if (bytes[i]) boxes[i]->upper_bytes = *bytes[i];
    }
}

Task<> Meter::measure(std::shared_ptr<Box> box) {
    weigh(box);
    const Moment asleep_since = box->sleep() ? box->sleep()->since : box->activity().last;
    const bool asleep = !box->alive() || box->sleep();
    if (asleep && box->measured_at && *box->measured_at > asleep_since) co_return;
    const Moment begun = Moment::clock::now();
    const std::string id = box->record.id;
    const std::vector<std::string> layers = box->record.layers;
    const auto bytes =
        co_await measurers_.run([&] { return overlayfs::upper_bytes(mechanisms_.store, id, stop_.get_token()); });
    if (!bytes.ok() || box->record.phase != Phase::kReady) co_return;  // it is being deleted
    if (box->changing || box->record.layers != layers) co_return;      // these may be a layer's files by now
    Result<void> booked = book(*box);                                  // until now it held what was measured before
    if (booked.ok()) {
        box->measured_at = begun;
        box->record.disk_bytes = box->upper_bytes = static_cast<int64_t>(bytes.value());
        booked = records_.put_box(box->record);
    }
    if (!booked.ok()) log_warning("box {}: its size cannot be recorded: {}", id, booked.error().message);
}

Task<> Meter::keep_books(std::function<std::vector<std::shared_ptr<Box>>()> boxes, std::function<Task<>()> others) {
    asio::steady_timer timer(executor_);
    for (;;) {
        constexpr int64_t kHourMs = 3'600'000;  // months begin at full hours
        timer.expires_after(std::chrono::milliseconds(kHourMs - unix_now_ms() % kHourMs));
        const auto [cancelled] = co_await timer.async_wait(kAwait);
        if (cancelled) co_return;
        co_await others();
        const auto all = boxes();
        for (const auto& box : all) {
            const auto booked = book(*box);
            if (!booked.ok()) {
                log_warning("box {}: its usage cannot be booked, tried again in an hour: {}", box->record.id,
                            booked.error().message);
            }
            co_await asio::post(executor_, asio::use_awaitable);  // requests come in between
        }
        for (const auto& box : all) co_await measure(box);
    }
}

}  // namespace hutch::daemon
