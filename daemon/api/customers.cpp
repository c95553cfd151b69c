// Whose a thing is, and who may see it. Every door to a box or a snapshot leads through here.
//
//   by API key     its customer's own, and nothing else: what is another's is not found
//   by the socket  the host's operator, customer "local": its own by id or name, others' by id and with ?all=1

#include "daemon/api/resources.h"

namespace hutch::daemon {

bool may_see(const Exchange& exchange, const std::string& customer) {
    const Caller& caller = exchange.request().caller;
    return caller.is_operator || caller.customer == customer;
}

bool is_listed(const Exchange& exchange, const std::string& customer) {
    const Request& request = exchange.request();
    return request.caller.customer == customer || (request.caller.is_operator && request.query.contains("all"));
}

Result<std::shared_ptr<Box>> find_box(const Services& services, const Exchange& exchange, const std::string& id) {
    const Caller& caller = exchange.request().caller;
    auto own = services.boxes.find(caller.customer, id);
    return own.ok() || !caller.is_operator ? own : services.boxes.find_of_any(id);
}

Result<std::shared_ptr<Box>> find_box(const Services& services, const Exchange& exchange, const Params& params) {
    return find_box(services, exchange, params.at("id"));
}

Result<SnapshotRecord> find_snapshot(const Services& services, const Exchange& exchange, const std::string& id,
                                     const std::string& box) {
    auto found = services.snapshots.find_of_any(id);
    if (found.ok() && may_see(exchange, found.value().customer)) return found;
    const std::string& customer = exchange.request().caller.customer;
    auto named = services.snapshots.named(customer, id, box);
    if (named.empty() && !box.empty()) named = services.snapshots.named(customer, id, "");
    if (named.size() == 1) return std::move(named.front());
    if (named.empty()) return Error{ErrorKind::kNotFound, 0, "no snapshot has the id or name \"" + id + "\""};
    return Error{ErrorKind::kConflict, 0,
                 std::to_string(named.size()) + " snapshots are called \"" + id + "\", such as " + named[0].id +
                     " of box " + named[0].box + " and " + named[1].id + " of box " + named[1].box + "; say the id"};
}

std::vector<std::shared_ptr<Box>> listed_boxes(const Services& services, const Exchange& exchange) {
    auto boxes = services.boxes.list();
    std::erase_if(boxes, [&exchange](const auto& box) { return !is_listed(exchange, box->record.customer); });
    return boxes;
}

Result<void> check_local(const Exchange& exchange) {
    if (exchange.request().caller.customer == kLocalCustomer) return {};
    return Error{ErrorKind::kForbidden, 0, exchange.request().path + ": this is for the host's operator; ask there"};
}

Result<void> check_operator(const Exchange& exchange) {
    if (exchange.request().caller.is_operator) return {};
    return Error{ErrorKind::kForbidden, 0, exchange.request().path + ": this is for who may use the host's socket"};
}

Result<void> check_route(const Services& services, Exchange& exchange, const Params& params) {
    const auto id = params.find("id");
    if (id == params.end()) return {};
    if (const auto box = find_box(services, exchange, id->second); box.ok()) {
        exchange.concern(box.value()->record.id);
        return {};
    }
    const auto of_another = services.boxes.find_of_any(id->second);
    if (!of_another.ok()) return {};  // deleted, perhaps, and its snapshots and usage are still there
    return Error{ErrorKind::kNotFound, 0, "no box has the id or name \"" + id->second + "\""};
}

}  // namespace hutch::daemon
