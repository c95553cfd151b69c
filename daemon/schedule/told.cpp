// Who asked to be told of the ends of a schedule's commands. Those of its prompts are told as any prompt's.

#include "daemon/log.h"
#include "daemon/run/ending.h"
#include "daemon/schedule/schedules.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostUntold = 4;              // of one schedule: a server that is not there must not add them up
constexpr size_t kMostOutputTold = 256 << 10;  // bytes: the last ones

std::string output_of(const Result<Journal>& journal) {
    if (!journal.ok()) return "";
    const uint64_t end = journal.value().end();
    const uint64_t begin =
        std::max(journal.value().begin(), end > kMostOutputTold ? end - kMostOutputTold : uint64_t{0});
    std::string output = begin == 0 ? "" : "[hutch: the first " + std::to_string(begin) + " bytes are left out]\n";
    for (uint64_t at = begin; at < end;) {
        const auto piece = journal.value().read(at, end - at);
        if (!piece.ok() || piece.value().empty()) break;
        output += piece.value();
        at += piece.value().size();
    }
    return output;
}

std::string failure_of(const RunRecord& run) {
    if (run.kill_reason == KillReason::kCancelled) return "cancelled";
    const std::string how = sentence_of(run);
    return how.empty() ? "the command ended with exit status " + std::to_string(run.exit_code.value_or(-1)) : how;
}

std::string told_of(const WebhookRecord& webhook, const RunRecord& run, const Result<Journal>& journal) {
    const bool ok = run.status == RunStatus::kCompleted;
    Json body{{"box_id", webhook.box}, {"run_id", webhook.run}, {"status", ok ? "completed" : "failed"}};
    if (std::string output = output_of(journal); !output.empty()) body["output"] = std::move(output);
    if (!ok) body["error"] = failure_of(run);
    body["metadata"] = {{"schedule_id", webhook.schedule},
                        {"exit_code", run.exit_code ? Json(*run.exit_code) : Json()},
                        {"cpu_ns", run.cpu_ns},
                        {"duration_ms", run.duration_ms}};
    return dump(body);
}

}  // namespace

bool Schedules::may_tell(const Box& box, const WebhookRecord& webhook) {
    const auto untold = untold_.find(webhook.schedule);
    if (untold == untold_.end() || untold->second < kMostUntold) return true;
    boxes_.note(box, "warn",
                "schedule " + webhook.schedule + ": the webhook of run " + webhook.run +
                    " is left out: " + std::to_string(kMostUntold) + " before it have not been taken yet");
    return false;
}

void Schedules::tell(const WebhookRecord& webhook, const std::shared_ptr<Box>& box) {
    ++untold_[webhook.schedule];
    spawn(boxes_.executor(), "the webhook of run " + webhook.run, tell_to_end(webhook, box),
          [this, schedule = webhook.schedule](const Result<void>&) {
              if (--untold_[schedule] == 0) untold_.erase(schedule);
          });
}

Task<> Schedules::tell_to_end(WebhookRecord webhook, std::shared_ptr<Box> box) {
    co_await runs_.settled(box);
    const auto active = runs_.find(*box, webhook.run);
    if (active) (void)co_await active->outcome();
    const auto run = runs_.record(*box, webhook.run);
    if (!run.ok()) co_return;  // deleted with its box
    Webhooks::Tell tell = [&]() -> Task<Result<Webhooks::Telling>> {
        co_return Webhooks::Telling{{webhook.url, webhook.headers},
                                    told_of(webhook, run.value(), runs_.journal(run.value(), false))};
    };
    co_await webhooks_.tell(box->record.customer, webhook.run, std::move(tell));
    const auto told = boxes_.records().drop_webhook(webhook.run);
    if (!told.ok()) log_warning("run {}: its webhook may be told again: {}", webhook.run, told.error().message);
}

}  // namespace hutch::daemon
