#pragma once

#include "daemon/api/elsewhere.h"
#include "daemon/api/resources.h"
#include "daemon/fleet/fleet.h"
#include "daemon/proxy/peers.h"

namespace hutch::daemon {

/// 503, with when to try again.
Response unavailable(const std::string& sentence);

/// Makes of each host of a fleet a door to all its boxes. A new box goes to the host that has most room; what is about
/// a box goes to the host that has it, as it came, and comes back so; lists are those of all hosts. Event loop thread
/// only; outlives the connections.
class Door : public Elsewhere {
  public:
    Door(Fleet& fleet, Peers& peers, Services& services) : fleet_(fleet), peers_(peers), services_(services) {}
    Task<Result<std::optional<Response>>> answer(Call& call) override;

  private:
    using Answered = Task<Result<std::optional<Response>>>;
    struct Making;
    struct Offer;

    Answered about_box(Call& call, const std::string& id);
    Answered pass_on(Call& call, FleetBox box);
    Answered make(Call& call);
    Task<Offer> offer(Call& call, const Making& making, const std::string& host);
    Task<Result<std::string>> next_host(Call& call, Making& making);
    Answered make_from_snapshot(Call& call);
    Answered remove_snapshots(Call& call);
    Answered about_deleted(Call& call);
    struct Shelf;
    Task<std::vector<Shelf>> shelves(Call& call, std::string& silent);
    Answered list(Call& call, bool is_array, const char* member);
    Answered remove_many(Call& call);
    Answered tell_all(Call& call);
    Task<Result<std::optional<FleetBox>>> find(Call& call, std::string id);
    [[nodiscard]] bool is_here(const Exchange& exchange, const std::string& id) const;
    [[nodiscard]] Response away(const FleetBox& box, const std::string& asked) const;

    Fleet& fleet_;
    Peers& peers_;
    Services& services_;
};

}  // namespace hutch::daemon
