#include "daemon/event_log.h"

#include "daemon/clock.h"

namespace hutch::daemon {
namespace {

// A prompt may be a megabyte; what is kept of a thousand events is not to be a gigabyte.
std::string shortened(std::string text) {
    if (text.size() <= EventLog::kMostText) return text;
    size_t end = EventLog::kMostText - 3;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) --end;  // not within a UTF-8 character
    return text.substr(0, end) + "...";
}

}  // namespace

const char* name_of(EventType type) {
    switch (type) {
        case EventType::kBoxCreated:
            return "box.created";
        case EventType::kBoxStarted:
            return "box.started";
        case EventType::kBoxPaused:
            return "box.paused";
        case EventType::kBoxResumed:
            return "box.resumed";
        case EventType::kBoxStopped:
            return "box.stopped";
        case EventType::kBoxFailed:
            return "box.failed";
        case EventType::kBoxDeleted:
            return "box.deleted";
        case EventType::kRunStarted:
            return "run.started";
        case EventType::kRunEnded:
            return "run.ended";
        case EventType::kImageBuilt:
            return "image.built";
        case EventType::kImageRemoved:
            return "image.removed";
        case EventType::kGap:
            break;
    }
    return "gap";
}

void EventLog::publish(EventType type, const BoxRecord& box, std::string reason) {
    if (box.internal) return;
    keep({.type = type,
          .customer = box.customer,
          .box = box.id,
          .name = box.name,
          .reason = shortened(std::move(reason))});
}

void EventLog::publish(EventType type, const BoxRecord& box, const RunRecord& run) {
    if (box.internal) return;
    keep({.type = type,
          .customer = box.customer,
          .box = box.id,
          .name = box.name,
          .reason = shortened(run.error),
          .run =
              EventRecord::Run{run.id, shortened(run.prompt), run.status, run.exit_code, run.cpu_ns, run.duration_ms}});
}

void EventLog::publish(EventType type, const ImageRecord& image) {
    const bool shared = image.customer == kLocalCustomer;
    keep({.type = type, .customer = shared ? "" : image.customer, .name = image.name});
}

void EventLog::keep(EventRecord event) {
    event.id = next_++;
    event.time_ms = unix_now_ms();
    kept_.push_back(std::move(event));
    if (kept_.size() > most_) kept_.pop_front();
    grown_.notify();
}

EventReader::EventReader(const EventLog& log, std::optional<EventPlace> after)
    : log_(log), next_(log.oldest()), of_another_(after && after->start != log.start()) {
    if (after && !of_another_) next_ = after->id + 1;
}

std::optional<EventRecord> EventReader::next() {
    if (of_another_ || next_ < log_.oldest()) {
        EventRecord gap{.id = log_.oldest() - 1, .time_ms = unix_now_ms(), .type = EventType::kGap};
        if (of_another_) {
            gap.reason = "hutchd was started anew";
        } else {
            gap.reason = "more events than are kept";
            gap.lost = log_.oldest() - next_;
        }
        of_another_ = false;
        next_ = log_.oldest();
        return gap;
    }
    if (next_ > log_.newest()) return std::nullopt;
    return log_.at(next_++);
}

}  // namespace hutch::daemon
