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

void add_lag(Text& text, const LagMeter::Figures& lag) {
    text.family("hutch_loop_lag_seconds", "histogram", "How late a timer of each second rang on the event loop.");
    for (size_t i = 0; i < LagMeter::kBounds.size(); ++i) {
        text.value("hutch_loop_lag_seconds_bucket", fmt::format("{{le=\"{}\"}}", LagMeter::kBounds[i]), lag.up_to[i]);
    }
    text.value("hutch_loop_lag_seconds_bucket", "{le=\"+Inf\"}", lag.rings);
    text.value("hutch_loop_lag_seconds_sum", "", seconds(lag.late));
    text.value("hutch_loop_lag_seconds_count", "", lag.rings);
    text.single("hutch_loop_lag_seconds_max", "gauge", "The latest of those since the start.", seconds(lag.latest));
    text.single("hutch_loop_longest_turn_seconds", "gauge", "The most CPU time that one turn of the event loop took.",
                seconds(lag.longest_turn));
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
    text.single("hutch_network_slots_ready", "gauge", "Network slots made ahead of need.",
                services.boxes.mechanisms().slots->ready());
    text.single("hutch_firewall_restored_total", "counter",
                "Times the firewall was put back after others had changed or removed it.",
                services.boxes.mechanisms().policies->restored());
    text.family("hutch_box_cpu_seconds_total", "counter", "CPU time a box has used since it was made.");
    for (size_t i = 0; i < boxes.size(); ++i) {
        text.value("hutch_box_cpu_seconds_total", fmt::format("{{box=\"{}\"}}", boxes[i]->record.id),
                   static_cast<double>(boxes[i]->cpu_ns()) / 1e9);
        co_await give_way(services, i);
    }
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
