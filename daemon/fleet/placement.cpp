#include "daemon/fleet/placement.h"

#include <fmt/format.h>

#include <algorithm>

namespace hutch::daemon {
namespace {

constexpr double kLeastDiskFree = 0.05;    // of the disk that holds boxes
constexpr double kBoxesPerProcessor = 64;  // mostly asleep: as much as all of the processors' time

int64_t given_to(const PlacementCall& call, const std::string& host) {
    const auto found = call.given.find(host);
    return found == call.given.end() ? 0 : found->second;
}

/// Why it takes no box; empty if it does.
std::string unfit_because(const Directory& directory, const PlacementCall& call, const std::string& name,
                          const FleetMember& member) {
    const auto found = directory.hosts().find(name);
    if (found == directory.hosts().end()) return "is not there";
    if (member.cordoned) return "is cordoned";
    const FleetLoad& host = found->second;
    if (host.boxes + given_to(call, name) >= host.max_boxes) {
        return fmt::format("holds {} boxes, the most that max_boxes allows", host.boxes);
    }
    const double free = static_cast<double>(host.disk_free_bytes);
    if (host.disk_bytes > 0 && free < kLeastDiskFree * static_cast<double>(host.disk_bytes)) {
        return fmt::format("has {} MB of its disk left", host.disk_free_bytes / 1'000'000);
    }
    return "";
}

}  // namespace

double load_of(const FleetLoad& host, int64_t given) {
    const auto part = [](int64_t used, int64_t of) {
        return of > 0 ? static_cast<double>(used) / static_cast<double>(of) : 0.0;
    };
    const double memory = part(host.memory_bytes - host.available_bytes, host.memory_bytes);
    const double boxes = static_cast<double>(host.boxes + given) /
                         (kBoxesPerProcessor * static_cast<double>(std::max<int64_t>(host.cpus, 1)));
    return memory + host.cpu_pressure / 100 + boxes;
}

Placement choose_host(const Directory& directory, const PlacementCall& call) {
    Placement placement;
    std::vector<std::string> with_image;
    std::vector<std::string> without;
    for (const auto& [name, member] : directory.members()) {
        if (call.tried.contains(name)) continue;
        std::string refusal = unfit_because(directory, call, name, member);
        if (!refusal.empty()) {
            placement.refused[name] = std::move(refusal);
            continue;
        }
        const auto& images = directory.hosts().at(name).images;
        const bool has_it = std::find(images.begin(), images.end(), call.image) != images.end();
        (has_it ? with_image : without).push_back(name);
    }
    std::vector<std::string>& hosts = with_image.empty() ? without : with_image;
    if (hosts.empty()) return placement;
    const auto take = [&] {
        const size_t at = call.random() % hosts.size();
        std::string one = hosts[at];
        hosts.erase(hosts.begin() + static_cast<std::ptrdiff_t>(at));
        return one;
    };
    placement.host = take();
    if (hosts.empty()) return placement;
    const std::string other = take();
    const auto loaded = [&](const std::string& name) {
        return load_of(directory.hosts().at(name), given_to(call, name));
    };
    if (loaded(other) < loaded(placement.host)) placement.host = other;
    return placement;
}

}  // namespace hutch::daemon
