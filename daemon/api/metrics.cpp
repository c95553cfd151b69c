// What a monitoring system asks for: Prometheus' text format, version 0.0.4.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

constexpr Status kStatuses[] = {Status::kCreating, Status::kIdle, Status::kRunning, Status::kPaused, Status::kError};

class Text {
  public:
    void family(const char* name, const char* type, const char* help) {
        text_ += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
    }
    template <typename Number>
    void value(const char* name, const std::string& labels, Number number) {
        text_ += fmt::format("{}{} {}\n", name, labels, number);
    }
    template <typename Number>
    void single(const char* name, const char* type, const char* help, Number number) {
        family(name, type, help);
        value(name, "", number);
    }
    [[nodiscard]] std::string take() { return std::move(text_); }

  private:
    std::string text_;
};

// Field 2 of statm: resident pages (proc(5)).
int64_t resident_bytes() {
    const auto statm = read_file_at(AT_FDCWD, "/proc/self/statm");
    const size_t space = statm.ok() ? statm.value().find(' ') : std::string::npos;
    return space == std::string::npos ? 0 : std::stoll(statm.value().substr(space)) * sysconf(_SC_PAGESIZE);
}

size_t open_descriptors() {
    const auto directory = open_at(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
    if (!directory.ok()) return 0;
    const auto names = names_in(directory.value().get());
    return names.ok() ? names.value().size() : 0;
}

double seconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

// `label`: outcome="ok", or none.
void add_histogram(Text& text, const std::string& name, const std::string& label, const Histogram& times) {
    const std::string first = label.empty() ? "" : label + ",";
    const std::string alone = label.empty() ? "" : "{" + label + "}";
    const std::string bucket = name + "_bucket";
    for (size_t i = 0; i < times.bounds().size(); ++i) {
        text.value(bucket.c_str(), fmt::format("{{{}le=\"{}\"}}", first, times.bounds()[i]), times.up_to()[i]);
    }
    text.value(bucket.c_str(), fmt::format("{{{}le=\"+Inf\"}}", first), times.count());
    text.value((name + "_sum").c_str(), alone, seconds(times.sum()));
    text.value((name + "_count").c_str(), alone, times.count());
}

void add_timings(Text& text, const Timings& timings) {
    using What = Timings::What;
    const struct {
        What what;
        const char* name;
        const char* help;
    } kFamilies[] = {
        {What::kHttp, "hutch_http_request_seconds",
         "Calls of the API, to the end of their answer where that is a stream."},
        {What::kCreate, "hutch_create_seconds", "Calls that make boxes: create, from-snapshot, fork."},
        {What::kExec, "hutch_exec_seconds", "Calls that run a command or code, with the time that it takes itself."},
        {What::kWake, "hutch_wake_seconds", "Wakings of paused boxes by calls that needed them."},
    };
    for (const auto& family : kFamilies) {
        text.family(family.name, "histogram", family.help);
        for (const CallEnd end : kCallEnds) {
            add_histogram(text, family.name, fmt::format("outcome=\"{}\"", name_of(end)), timings.of(family.what, end));
        }
    }
}

void add_lag(Text& text, const LagMeter::Figures& lag) {
    text.family("hutch_loop_lag_seconds", "histogram", "How late a timer of each second rang on the event loop.");
    add_histogram(text, "hutch_loop_lag_seconds", "", lag.lag);
    text.single("hutch_loop_lag_seconds_max", "gauge", "The latest of those since the start.", seconds(lag.latest));
    text.single("hutch_loop_longest_turn_seconds", "gauge", "The most CPU time that one turn of the event loop took.",
                seconds(lag.longest_turn));
}

void add_schedules(Text& text, const Schedules& schedules) {
    const Schedules::Figures& figures = schedules.figures();
    text.single("hutch_schedules", "gauge", "Schedules of all boxes, paused ones included.", schedules.size());
    text.family("hutch_schedule_firings_total", "counter", "Firings of schedules, by what came of them.");
    text.value("hutch_schedule_firings_total", "{outcome=\"completed\"}", figures.completed);
    text.value("hutch_schedule_firings_total", "{outcome=\"failed\"}", figures.failed);
    text.value("hutch_schedule_firings_total", "{outcome=\"skipped\"}", figures.skipped);
    text.family("hutch_schedule_lag_seconds", "histogram", "How late firings of schedules began.");
    add_histogram(text, "hutch_schedule_lag_seconds", "", figures.lag);
}

void add_refusals(Text& text, const Refusals& refusals) {
    text.family("hutch_network_refused_total", "counter",
                "Refused flows of boxes that were noted, each at most once in ten seconds, by the rule.");
    for (size_t i = 0; i < kRefusers; ++i) {
        const auto rule = static_cast<RefusedBy>(i);
        text.value("hutch_network_refused_total", fmt::format("{{rule=\"{}\"}}", name_of(rule)), refusals.noted(rule));
    }
}

struct BoxFigures {
    std::string label;
    Counters used;
    int64_t memory_bytes = 0;
    int64_t disk_bytes = 0;
};

BoxFigures figures_of(const Services& services, const Box& box) {
    const LifeUse life = services.meter.used_by(box);
    BoxFigures figures{fmt::format("{{box=\"{}\"}}", box.record.id), box.record.past + life.counters, life.memory_bytes,
                       box.record.disk_bytes};
    figures.used.cpu_ns = box.cpu_ns();
    return figures;
}

// A box of its own is told of while there are few enough for a monitoring system to keep.
Task<> add_boxes(Text& text, Services& services, const std::vector<std::shared_ptr<Box>>& boxes) {
    constexpr size_t kMostTold = 1000;
    std::vector<BoxFigures> told;
    for (size_t i = 0; i < std::min(boxes.size(), kMostTold); ++i) {
        told.push_back(figures_of(services, *boxes[i]));
        co_await give_way(services, i);
    }
    text.single("hutch_boxes_untold", "gauge", "Boxes beyond the oldest 1000, which the families by box leave out.",
                boxes.size() - told.size());
    const auto add = [&](const char* name, const char* type, const char* help, auto value) {
        text.family(name, type, help);
        for (const BoxFigures& box : told) text.value(name, box.label, value(box));
    };
    add("hutch_box_cpu_seconds_total", "counter", "CPU time a box has used since it was made.",
        [](const BoxFigures& box) { return static_cast<double>(box.used.cpu_ns) / 1e9; });
    add("hutch_box_memory_bytes", "gauge", "Memory a box holds, with its page cache, as its limit counts it.",
        [](const BoxFigures& box) { return box.memory_bytes; });
    add("hutch_box_disk_bytes", "gauge", "Files a box has written, as last added up: when it pauses, and each hour.",
        [](const BoxFigures& box) { return box.disk_bytes; });
    add("hutch_box_network_sent_bytes_total", "counter", "Bytes a box has sent since it was made.",
        [](const BoxFigures& box) { return box.used.sent_bytes; });
    add("hutch_box_network_received_bytes_total", "counter", "Bytes a box has received since it was made.",
        [](const BoxFigures& box) { return box.used.received_bytes; });
}

Task<std::string> metrics(Services& services) {
    const auto boxes = services.boxes.list();
    Text text;
    text.family("hutch_build_info", "gauge", "The version of hutchd.");
    text.value("hutch_build_info", "{version=\"" HUTCH_VERSION "\"}", 1);
    text.family("hutch_boxes", "gauge", "Boxes by status.");
    for (const Status status : kStatuses) {
        const auto count =
            std::count_if(boxes.begin(), boxes.end(), [&](const auto& box) { return box->status() == status; });
        text.value("hutch_boxes", fmt::format("{{status=\"{}\"}}", name_of(status)), count);
    }
    text.single("hutch_boxes_deleting", "gauge", "Deleted boxes that are still being taken apart.",
                services.boxes.leaving());
    text.single("hutch_runs_active", "gauge", "Runs under way.", services.runs.active());
    text.single("hutch_boxes_ready", "gauge", "Boxes made ahead of need, which nobody has yet.",
                services.boxes.stock().ids().size());
    text.single("hutch_network_slots_ready", "gauge", "Network slots made ahead of need.",
                services.boxes.mechanisms().slots->ready());
    if (const auto& spares = services.boxes.mechanisms().spares)
        text.single("hutch_uppers_ready", "gauge", "Uppers made ahead of need.", spares->ready());
    text.single("hutch_firewall_restored_total", "counter",
                "Times the firewall was put back after others had changed or removed it.",
                services.boxes.mechanisms().policies->restored());
    add_refusals(text, services.refusals);
    add_schedules(text, services.schedules);
    co_await add_boxes(text, services, boxes);
    add_timings(text, services.timings);
    add_lag(text, services.lag.figures());
    text.single("hutch_memory_budget_held_bytes", "gauge",
                "What bodies of requests and their answers hold of memory_budget now.", services.memory.held());
    text.single("process_resident_memory_bytes", "gauge", "Resident memory of hutchd.", resident_bytes());
    text.single("process_open_fds", "gauge", "Open descriptors of hutchd.", open_descriptors());
    co_return text.take();
}

}  // namespace

void add_metrics_routes(Router& router, Services& services) {
    router.add("GET", "/metrics",
               [&services](Exchange& exchange, const Params&) -> Task<Result<std::optional<Response>>> {
                   CO_TRY(check_local(exchange));
                   std::string text = co_await metrics(services);
                   co_return std::optional(Response{200, std::move(text), "text/plain; version=0.0.4"});
               });
}

}  // namespace hutch::daemon
