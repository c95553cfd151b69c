#include "daemon/preview/previews.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ids.h"
#include "base/text.h"
#include "daemon/base64.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/secret.h"
#include "daemon/wire/preview_host.h"

namespace hutch::daemon {
namespace {

constexpr const char* kUser = "box";
constexpr int64_t kBookedAtATime = 64 << 20;  // bytes: what a kill of the daemon may lose of a box's traffic

Error unpublished(const Box& box, uint16_t port) {
    return {ErrorKind::kNotFound, 0, fmt::format("port {} of box {} has no public URL", port, box.record.id)};
}

size_t count_of(const Previews::VisitsOfBox& visits, const std::string& network) {
    const auto found = visits.by_network.find(network);
    return found == visits.by_network.end() ? 0 : found->second;
}

bool is_kept_as(const std::string& hash, std::string_view secret) {
    return !hash.empty() && is_same_secret(hash, secret_hash(std::string(secret)));
}

}  // namespace

Previews::Previews(Manager& boxes, Meter& meter) : boxes_(boxes), meter_(meter) {}

Result<void> Previews::check_served() const {
    if (!boxes_.mechanisms().config.preview_listen.empty()) return {};
    return Error{ErrorKind::kUnsupported, 0,
                 "preview: this host has no public URLs; its operator sets preview_listen (and preview_domain) in the "
                 "configuration of hutchd"};
}

PreviewRecord Previews::make(const Box& box, Wish wish, Made& told) const {
    PreviewRecord preview{.box = box.record.id, .port = wish.port, .id = random_id(), .created_at = unix_now()};
    told.url = url_of(preview);
    if (wish.token) {
        told.token = new_secret("preview_");
        preview.token_hash = secret_hash(told.token);
    }
    if (wish.basic) {
        told.user = kUser;
        told.password = new_secret("");
        preview.basic_hash = secret_hash(encode_base64(told.user + ':' + told.password));
    }
    return preview;
}

Task<Result<Previews::Made>> Previews::publish(std::shared_ptr<Box> box, Wish wish) {
    Records& records = boxes_.records();
    CO_TRY(boxes_.find_of_any(box->record.id));  // it may have been deleted since it was woken
    CO_TRY_LET(const auto old, records.previews(box->record.id));
    const auto same = std::find_if(old.begin(), old.end(), [&](const auto& one) { return one.port == wish.port; });
    if (same == old.end() && old.size() >= kMostOfBox) {
        co_return Error{ErrorKind::kLimit, 0, fmt::format("preview: a box has at most {}; delete some", kMostOfBox)};
    }
    Made made;
    const PreviewRecord preview = make(*box, wish, made);
    const std::string replaced = same == old.end() ? "" : same->id;
    CO_TRY(co_await records.durably([&] { return records.put_preview(preview); }, [&] { cut(replaced); }));
    boxes_.note(*box, "info", fmt::format("port {} is published", wish.port));
    co_return made;
}

Task<Result<void>> Previews::withdraw(std::shared_ptr<Box> box, uint16_t port) {
    Records& records = boxes_.records();
    CO_TRY_LET(const auto preview, records.preview(box->record.id, port));
    if (!preview) co_return unpublished(*box, port);
    CO_TRY(
        co_await records.durably([&] { return records.drop_preview(preview->box, port); }, [&] { cut(preview->id); }));
    boxes_.note(*box, "info", fmt::format("port {} is not published any more", port));
    co_return Result<void>();
}

Result<std::vector<PreviewRecord>> Previews::list(const Box& box) const {
    return boxes_.records().previews(box.record.id);
}

std::string Previews::url_of(const PreviewRecord& preview) const {
    const Config& config = boxes_.mechanisms().config;
    const bool tls = !config.preview_certificate.empty();
    std::string url = tls ? "https://" : "http://";
    url += preview_host({preview.box, preview.port}, config.preview_domain);
    const auto endpoint = parse_endpoint(config.preview_listen);
    constexpr uint16_t kHttp = 80;
    constexpr uint16_t kHttps = 443;
    if (endpoint && endpoint->port != (tls ? kHttps : kHttp)) url += ':' + std::to_string(endpoint->port);
    return url;
}

Result<Previews::Found> Previews::find(const std::string& box, uint16_t port) const {
    const Error nothing{ErrorKind::kNotFound, 0,
                        "There is nothing here: the box has been deleted, or this port of it is not published."};
    auto found = boxes_.find_of_any(box);
    if (!found.ok() || found.value()->record.phase == Phase::kDeleting) return nothing;
    auto preview = TRY(boxes_.records().preview(box, port));
    if (!preview) return nothing;
    return Found{std::move(found).value(), *std::move(preview)};
}

Result<std::unique_ptr<Previews::Visit>> Previews::enter(const Found& found, const std::string& network,
                                                         std::function<void()> cut) {
    const BoxRecord& box = found.box->record;
    const auto here = visits_->find(box.id);
    const size_t taken = here == visits_->end() ? 0 : here->second.all.size();
    if (taken >= kMostVisitsOfBox) {
        return Error{
            ErrorKind::kConflict, 0,
            fmt::format("This box is at work on {} requests, which is all that one may be.", kMostVisitsOfBox)};
    }
    const bool shared = boxes_.mechanisms().config.connections_per_address != 0;
    const size_t share = std::max<size_t>((kMostVisitsOfBox - taken) / 4, 1);
    if (shared && taken > 0 && count_of(here->second, network) >= share) {
        return Error{ErrorKind::kLimit, 0, "This box is at work on as many requests from your address as it may be."};
    }
    auto place = boxes_.limits().take(box.customer, Resource::kPreviewConnections);
    if (!place.ok()) {
        return Error{ErrorKind::kLimit, 0,
                     "preview_connections: the owner of this box has as many connections to public URLs as it may."};
    }
    return std::make_unique<Visit>(visits_, found.preview, network, std::move(place).value(), std::move(cut));
}

Previews::Visit::Visit(std::shared_ptr<Visits> visits, const PreviewRecord& preview, std::string network,
                       CustomerLimits::Hold place, std::function<void()> cut)
    : visits_(std::move(visits)),
      box_(preview.box),
      preview_(preview.id),
      network_(std::move(network)),
      place_(std::move(place)),
      cut_(std::move(cut)) {
    VisitsOfBox& here = (*visits_)[box_];
    here.all.insert(this);
    ++here.by_network[network_];
}

Previews::Visit::~Visit() {
    const auto here = visits_->find(box_);
    here->second.all.erase(this);
    if (--here->second.by_network[network_] == 0) here->second.by_network.erase(network_);
    if (here->second.all.empty()) visits_->erase(here);
}

void Previews::cut(const std::string& preview) {
    for (const auto& [box, here] : *visits_) {
        for (const Visit* visit : here.all) {
            if (visit->preview_ == preview) visit->cut_();
        }
    }
}

// Of a box's network only what goes over its link is counted, and this does not.
void Previews::count(Box& box, size_t received, size_t sent) {
    box.record.past.received_bytes += static_cast<int64_t>(received);
    box.record.past.sent_bytes += static_cast<int64_t>(sent);
    box.touch();
    box.unbooked_bytes += static_cast<int64_t>(received + sent);
    if (box.unbooked_bytes < kBookedAtATime) return;
    box.unbooked_bytes = 0;
    if (const auto booked = meter_.book(box); !booked.ok()) {
        log_warning("box {}: {}", box.record.id, booked.error().message);
    }
}

void Previews::book() {
    for (const auto& box : boxes_.list()) {
        if (std::exchange(box->unbooked_bytes, 0) > 0) (void)meter_.book(*box);
    }
}

bool opens(const PreviewRecord& preview, const std::string& credential) {
    if (preview.token_hash.empty() && preview.basic_hash.empty()) return true;
    const size_t space = credential.find(' ');
    if (space == std::string::npos) return false;
    const std::string scheme = lower(std::string_view(credential).substr(0, space));
    const size_t begin = credential.find_first_not_of(' ', space);
    if (begin == std::string::npos) return false;
    const std::string_view secret = std::string_view(credential).substr(begin);
    return (scheme == "bearer" && is_kept_as(preview.token_hash, secret)) ||
           (scheme == "basic" && is_kept_as(preview.basic_hash, secret));
}

}  // namespace hutch::daemon
