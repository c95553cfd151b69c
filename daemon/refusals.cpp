#include "daemon/refusals.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include "daemon/clock.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

// Between two turns of the event loop; what is beyond is not noted.
constexpr size_t kMostUntaken = 4096;
constexpr size_t kMostUntakenOfBox = 256;
constexpr size_t kMostTakenIn = 256;  // that one turn takes in

constexpr size_t kLongestFlowName = 255;
// In a minute, to the log.
constexpr unsigned kLinesOfBox = 10;
constexpr unsigned kLinesOfAll = 300;

std::string words_of(const RefusedFlow& flow) {
    std::string text = flow.protocol;
    if (flow.destination != netns::Ipv4{}) text += " " + netns::to_string(flow.destination);
    if (flow.port != 0) text += ":" + std::to_string(flow.port);
    if (flow.name.empty()) return text;
    return text + (flow.destination != netns::Ipv4{} ? " (" + flow.name + ")" : " " + flow.name);
}

}  // namespace

const char* name_of(RefusedBy rule) {
    constexpr const char* kNames[kRefusers] = {"blocked",     "to_host",  "policy", "name",
                                               "server_name", "too_many", "flows"};
    return kNames[static_cast<size_t>(rule)];
}

const char* sentence_of(RefusedBy rule) {
    constexpr const char* kSentences[kRefusers] = {
        "It is a private, local or metadata address, or another box's: closed to all boxes.",
        "It is the host itself, of which boxes reach nothing but their name server and the models' gateway.",
        "The box's network policy does not let it talk to this address.",
        "The box's network policy does not let it look this name up.",
        "The box's network policy does not allow the name that the connection began with, or it named none.",
        "The box sends more packets in a second than boxes may.",
        "The box has as many connections as a box may have.",
    };
    return kSentences[static_cast<size_t>(rule)];
}

Refusals::Refusals(asio::any_io_executor executor, Boxes boxes)
    : executor_(std::move(executor)), whose_(std::move(boxes)), grown_(executor_) {}

void Refusals::note(RefusedFlow flow) {
    if (flow.name.size() > kLongestFlowName) flow.name.resize(kLongestFlowName);
    const int64_t now = unix_now_ms();
    const std::lock_guard lock(mutex_);
    auto found = waiting_.find(flow);
    if (found == waiting_.end()) {
        size_t& of_box = waiting_of_[flow.box];
        if (waiting_.size() >= kMostUntaken || of_box >= kMostUntakenOfBox) return;
        ++of_box;
        found = waiting_.emplace(flow, RefusedEntry{flow, now}).first;
    }
    found->second.last_ms = now;
    ++found->second.times;
    if (!std::exchange(called_, true)) asio::post(executor_, [this] { take_in(); });
}

void Refusals::take_in() {
    std::vector<RefusedEntry> entries;
    {
        const std::lock_guard lock(mutex_);
        while (!waiting_.empty() && entries.size() < kMostTakenIn) {
            const auto next = waiting_.extract(waiting_.begin());
            const auto of_box = waiting_of_.find(next.key().box);
            if (--of_box->second == 0) waiting_of_.erase(of_box);
            entries.push_back(next.mapped());
        }
        if (waiting_.empty()) waiting_of_.clear();
        called_ = !waiting_.empty();
        if (called_) asio::post(executor_, [this] { take_in(); });
    }
    std::stable_sort(entries.begin(), entries.end(),
                     [](const RefusedEntry& a, const RefusedEntry& b) { return a.last_ms < b.last_ms; });
    std::map<netns::Ipv4, std::string> owners;
    for (RefusedEntry& entry : entries) {
        const auto [owner, is_new] = owners.try_emplace(entry.flow.box);
        if (is_new) owner->second = whose_.owner(entry.flow.box);
        if (!owner->second.empty()) keep(owner->second, std::move(entry));
    }
    grown_.notify();
}

void Refusals::keep(const std::string& id, RefusedEntry entry) {
    noted_[static_cast<size_t>(entry.flow.rule)] += entry.times;
    if (boxes_.find(id) == boxes_.end()) {
        std::erase_if(boxes_, [&](const auto& box) {
            if (whose_.is_there(box.first)) return false;
            kept_ -= box.second.entries.size();
            return true;
        });
    }
    OfBox& box = boxes_[id];
    const auto found = std::find_if(box.entries.begin(), box.entries.end(),
                                    [&](const RefusedEntry& known) { return known.flow == entry.flow; });
    if (found != box.entries.end()) {
        entry.first_ms = found->first_ms;
        entry.times += found->times;
        box.entries.erase(found);
        --kept_;
    } else {
        say(id, box, entry);
        make_room(box, entry.flow.rule);
    }
    entry.change = ++changes_;
    box.entries.push_back(std::move(entry));
    ++kept_;
}

// The oldest of the same rule gives way, so that noise about one rule leaves the others'; when all is full, the oldest
// of the box that has most.
void Refusals::make_room(OfBox& box, RefusedBy rule) {
    const auto is_its = [rule](const RefusedEntry& entry) { return entry.flow.rule == rule; };
    const auto of_rule = std::count_if(box.entries.begin(), box.entries.end(), is_its);
    if (static_cast<size_t>(of_rule) >= kKeptOfRule) {
        return drop(box, std::find_if(box.entries.begin(), box.entries.end(), is_its));
    }
    if (kept_ < kKept) return;
    const auto most = std::max_element(boxes_.begin(), boxes_.end(), [](const auto& a, const auto& b) {
        return a.second.entries.size() < b.second.entries.size();
    });
    drop(most->second, most->second.entries.begin());
}

void Refusals::drop(OfBox& box, std::deque<RefusedEntry>::const_iterator entry) {
    box.entries.erase(entry);
    ++box.dropped;
    --kept_;
}

void Refusals::say(const std::string& id, OfBox& box, const RefusedEntry& entry) {
    const int64_t minute = entry.last_ms / 60'000;
    if (std::exchange(minute_, minute) != minute) lines_ = 0;
    if (std::exchange(box.minute, minute) != minute) box.lines = 0;
    if (box.lines >= kLinesOfBox || lines_ >= kLinesOfAll) {
        ++box.unsaid;
        return;
    }
    ++lines_;
    ++box.lines;
    const unsigned unsaid = std::exchange(box.unsaid, 0);
    const std::string others = unsaid == 0 ? "" : "; " + std::to_string(unsaid) + " others before it are not told here";
    log_info("box {}: refused {}, by the rule {}{}", id, words_of(entry.flow), name_of(entry.flow.rule), others);
}

std::vector<RefusedEntry> Refusals::of(const std::string& box, uint64_t after) const {
    const auto found = boxes_.find(box);
    if (found == boxes_.end()) return {};
    const auto& entries = found->second.entries;
    const auto first =
        std::upper_bound(entries.begin(), entries.end(), after,
                         [](uint64_t change, const RefusedEntry& entry) { return change < entry.change; });
    return {first, entries.end()};
}

uint64_t Refusals::dropped(const std::string& box) const {
    const auto found = boxes_.find(box);
    return found == boxes_.end() ? 0 : found->second.dropped;
}

}  // namespace hutch::daemon
