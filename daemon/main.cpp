// hutchd: wiring. The commands, the parts in order, and the end.

#include <malloc.h>
#include <sys/stat.h>

#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "base/text.h"
#include "base/undo.h"
#include "daemon/api/exports.h"
#include "daemon/api/resources.h"
#include "daemon/api/server.h"
#include "daemon/box/network.h"
#include "daemon/check_config.h"
#include "daemon/clock.h"
#include "daemon/doctor.h"
#include "daemon/egress/intercept.h"
#include "daemon/egress/relay.h"
#include "daemon/fd_thread.h"
#include "daemon/firewall_keeper.h"
#include "daemon/host.h"
#include "daemon/lag_meter.h"
#include "daemon/log.h"
#include "daemon/name_watcher.h"
#include "daemon/proxy/door.h"
#include "daemon/proxy/proxy.h"
#include "daemon/refusal_listener.h"
#include "daemon/settings.h"
#include "daemon/spawn.h"
#include "daemon/systemd.h"
#include "netns/dns.h"
#include "netns/dns_socket.h"
#include "netns/names.h"
#include "runtime/capabilities.h"

namespace hutch::daemon {
namespace {

constexpr std::chrono::seconds kShutdownPatience{10};  // for requests under way
constexpr std::chrono::seconds kDrainPatience{10};     // then for what goes on behind them
constexpr std::chrono::seconds kJoinPatience{5};       // then for kernel calls
constexpr size_t kDecoders = 2;                        // threads for large bodies and answers
constexpr size_t kUnpackers = 16;                      // trees that clients upload at a time,
constexpr size_t kUnpackersEach = 4;                   // and one customer

// A database that has lost its store, or a store its database, must not decide what is rubbish.
Result<void> match_store(Records& records, const Config& config) {
    const std::string id = TRY(records.store_id());
    const std::string path = config.store_dir() + "/id";
    const auto present = read_file_at(AT_FDCWD, path);
    if (present.ok() && present.value() == id) return {};
    if (present.ok() || present.error().code != ENOENT) {
        return Error{ErrorKind::kConflict, 0,
                     "state_dir: " + config.state_dir + "/hutch.db and " + config.state_dir +
                         "/store do not belong together; restore the one that was replaced, or move the store away"};
    }
    const UniqueFd file = TRY(open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    return write_all(file.get(), id);
}

Task<> wait_for(std::chrono::seconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(kAwait);
}

Task<> shut_down(Server& server, Snapshots& snapshots, Exports& exports, Manager& boxes, EventLog& events,
                 bool& cut_off) {
    asio::signal_set signals(co_await asio::this_coro::executor, SIGTERM, SIGINT);
    co_await signals.async_wait(kAwait);
    notify_stopping();
    log_info("shutting down; boxes and their files stay");
    events.close();  // or who follows them would be waited for
    co_await server.close(kShutdownPatience);
    snapshots.stop();
    exports.stop();
    const bool drained = co_await ends_before(boxes.drain(), wait_for(kDrainPatience));
    if (!drained) log_warning("changes of boxes are cut off; the next start finishes or takes them back");
    cut_off = !drained;
}

// A kernel call that does not come back cannot be waited for: boxes and records are then left as by a kill, from which
// the next start takes them over.
void end_within(std::chrono::seconds patience) {
    std::thread([patience] {
        std::this_thread::sleep_for(patience);
        log_error("a kernel call does not come back; ended without it");
        std::exit(1);
    }).detach();
}

using Certificates = std::vector<std::shared_ptr<Tls>>;

void reload_certificates(const Certificates& certificates) {
    if (certificates.empty()) log_info("SIGHUP: there is no certificate to read anew");
    for (const auto& tls : certificates) {
        const auto renewed = tls->reload();
        if (renewed.ok()) {
            log_info("the certificate was read anew");
        } else {
            log_error("the certificate stays as it was: {}", renewed.error().message);
        }
    }
}

// Certificates end every few months; connections and boxes need not end with them. Nor does a daemon without one.
Task<> renew_certificates(Certificates certificates) {
    asio::signal_set signals(co_await asio::this_coro::executor, SIGHUP);
    for (;;) {
        const auto [failed, signal] = co_await signals.async_wait(kAwait);
        if (failed) co_return;
        reload_certificates(certificates);
    }
}

// A member of a fleet: its doors, and what it has in common with the others.
struct Membership {
    Peers peers;
    Door door;
    Membership(Fleet& fleet, Services& services, std::shared_ptr<Tls> tls)
        : peers(services.boxes.executor(), fleet, std::move(tls)), door(fleet, peers, services) {}
};

Result<std::unique_ptr<Membership>> join_fleet(Services& services, KeyRing& keys, Server& server,
                                               const std::shared_ptr<Tls>& tls) {
    Fleet* const fleet = services.fleet;
    if (fleet == nullptr) return std::unique_ptr<Membership>();
    auto membership = std::make_unique<Membership>(*fleet, services, tls);
    services.boxes.set_registry(fleet->registry());
    keys.set_sharers({.share = [fleet](KeyRecord key) { return fleet->share_key(std::move(key)); },
                      .drop = [fleet](std::string customer) { return fleet->drop_key(std::move(customer)); }});
    server.set_elsewhere(membership->door);
    const std::string& address = services.config.fleet_listen;
    TRY(server.listen_fleet(address, tls, [fleet](const std::string& name) { return fleet->is_member(name); }));
    log_info("host {} of fleet {} is reached by the others at {}", fleet->self(), services.config.fleet, address);
    fleet->start({.images =
                      [&services] {
                          std::vector<std::string> names;
                          for (const ImageRecord& image : services.images.list()) names.push_back(image.name);
                          return names;
                      },
                  .keys = [&keys] { return keys.list(); },
                  .take_keys = [&keys](std::vector<KeyRecord> all) { keys.take(std::move(all)); }});
    return membership;
}

Result<void> serve(const Config& config) {
    come_before_boxes();
    TRY_IN("giving up power", runtime::keep_daemon_capabilities());  // before there is a second thread
    TRY(runtime::keep_memory_secret());
    umask(0022);  // whatever was inherited: modes inside boxes are those that were asked for
    raise_descriptor_limit();
    decline_oom_killer();
    const std::shared_ptr<Tls> tls = TRY(load_certificate(config));
    const std::shared_ptr<Tls> preview_tls = TRY(load_preview_certificate(config));
    const std::shared_ptr<Tls> fleet_tls = TRY(load_fleet_certificate(config));
    UniqueFd handed_over = TRY(socket_handed_over());
    const UniqueFd lock = TRY(lock_state(config));
    const UniqueFd name = TRY(lock_name(config));
    TRY(mount_store(config));
    Records records = TRY(Records::open(config.state_dir + "/hutch.db"));
    TRY(match_store(records, config));  // before the host is touched: a daemon that refuses to start changes nothing
    const std::vector<BoxRecord> known = TRY(records.boxes());
    Mechanisms mechanisms = TRY(prepare_host(config, firewall_policies(known)));
    mechanisms.reaper = std::make_unique<overlayfs::Reaper>(mechanisms.store);
    Undo remove_firewall([&mechanisms] { remove_new_firewall(*mechanisms.policies, mechanisms.network); });
    const auto keeper = TRY(FirewallKeeper::start(*mechanisms.policies, mechanisms.network));

    Spend spend = TRY(Spend::load(records));  // before the loop: calls that it still carries at its end are counted
    asio::io_context loop(1);
    LagMeter lag(loop);
    Workers workers(config.workers);
    Workers decoders(kDecoders, 0, Urgency::kBehind);
    EventLog events(loop.get_executor(), unix_now_ms());
    CustomerLimits limits =
        TRY(CustomerLimits::load(records, limits_of_host(config), config.allow_nesting, config.allow_pull));
    Runs runs(loop.get_executor(), records, events, limits, config.state_dir + "/runs");
    Layers layers(loop.get_executor(), mechanisms, records);
    Meter meter(loop.get_executor(), mechanisms, records, layers);
    Manager boxes(loop.get_executor(), mechanisms, records, workers, layers, meter, runs, events, limits);
    TRY(boxes.adopt());
    TRY(runs.adopt(boxes.list()));
    const auto registries = TRY(Registries::open(loop.get_executor(), records, config));
    Images images(boxes, runs);
    TRY(images.load());
    Pulls pulls(boxes, images, *registries);
    Snapshots snapshots(boxes);
    TRY(snapshots.load());
    Exports exports(boxes);
    TRY(layers.load());
    images.claim_layers();
    for (const auto& box : boxes.list()) meter.weigh(box);
    Refusals refusals(loop.get_executor(),
                      {.owner = [&boxes](netns::Ipv4 address) { return boxes.owner_of(address); },
                       .is_there = [&boxes](const std::string& id) { return boxes.find_of_any(id).ok(); }});
    const auto listener = RefusalListener::start(refusals, *mechanisms.names, mechanisms.network);
    if (!listener.ok()) log_warning("what the firewalls refuse to boxes is not told: {}", listener.error().message);
    Reacher reacher(boxes, refusals);
    NameWatcher name_watcher(refusals, *mechanisms.names);
    netns::Names names(mechanisms.network, *mechanisms.policies,
                       [&name_watcher](netns::Ipv4 box, const std::string& closed, netns::Egress rule) {
                           name_watcher.closed(box, closed, rule);
                       });
    const auto dns =
        TRY_IN("starting the DNS forwarder", netns::DnsForwarder::open(mechanisms.network, names, &name_watcher));

    Models models = TRY(Models::load(boxes, config));
    limits.add_measure(Resource::kModelTokens, [&spend](const std::string& customer) { return spend.today(customer); });
    Fetcher fetcher = TRY(Fetcher::open(loop.get_executor()));
    Webhooks webhooks(loop.get_executor(), fetcher, config.private_webhooks);
    Agents agents(
        boxes, runs, webhooks,
        [&models](const Box& box, const AgentRecord& agent, const Harness& harness, const std::string& run) {
            return models.open(run, box, agent, harness);
        },
        [&models](const std::string& run) { models.close(run); });
    Once once = TRY(Once::load(boxes));
    Schedules schedules(boxes, runs, agents, webhooks);
    const auto memory = std::make_shared<MemoryBudget>(config.memory_budget);
    Timings timings;
    PipedWorkers unpackers(loop.get_executor(), kUnpackers, kUnpackersEach);
    Previews previews(boxes, meter);
    Dialer dialer(boxes);
    Attached attached(boxes, runs);
    TRY(attached.load());
    std::unique_ptr<Fleet> fleet;
    if (!config.fleet.empty()) fleet = TRY(Fleet::open(config, boxes, fetcher));
    Services services{boxes,    runs,     images,  snapshots, agents,      schedules, models,     meter,   events,
                      limits,   fetcher,  once,    unpackers, config,      lag,       *memory,    timings, previews,
                      attached, refusals, reacher, dialer,    *registries, pulls,     fleet.get()};
    Router router;
    add_box_routes(router, services);
    add_log_routes(router, services);
    add_env_routes(router, services);
    add_attached_routes(router, services);
    add_label_routes(router, services);
    add_network_routes(router, services);
    add_refusal_routes(router, services);
    add_preview_routes(router, services);
    add_port_session_routes(router, services);
    add_sleep_routes(router, services);
    add_exec_routes(router, services);
    add_run_routes(router, services);
    add_terminal_routes(router, services);
    add_exec_session_routes(router, services);
    add_file_routes(router, services);
    add_entry_routes(router, services);
    add_git_routes(router, services);
    add_forge_routes(router, services);
    add_image_routes(router, services);
    add_registry_routes(router, services);
    add_export_routes(router, services, exports);
    add_event_routes(router, services);
    add_host_routes(router, services);
    add_hosts_routes(router, services);
    add_metrics_routes(router, services);
    add_usage_routes(router, services);
    add_snapshot_routes(router, services);
    add_space_routes(router, services);
    add_agent_routes(router, services);
    add_prompt_routes(router, services);
    add_schedule_routes(router, services);
    add_model_key_routes(router, services);
    add_unbuilt_routes(router);
    router.set_guard(
        [&services](Exchange& exchange, const Params& params) { return check_route(services, exchange, params); });
    KeyRing keys = TRY(KeyRing::load(records));
    add_key_routes(router, keys, limits);
    const Auth auth = TRY(Auth::load(config.api_key_file, config.socket_group, keys));
    Server server(loop.get_executor(), router, auth, limits, config, memory, decoders, timings);
    const auto membership = TRY(join_fleet(services, keys, server, fleet_tls));
    Proxy proxy(dialer, previews, auth, config.preview_domain);
    if (!config.preview_listen.empty()) {
        const bool secure = preview_tls != nullptr;
        const auto serve = [&proxy, secure](Wire wire, Whence from, std::function<void(bool)> on_busy) {
            return proxy.serve(std::move(wire), std::move(from), secure, std::move(on_busy));
        };
        TRY(server.listen_beside("preview_listen", config.preview_listen, preview_tls, serve));
        log_info("public URLs are served at {}{}", config.preview_listen, secure ? ", by TLS" : "");
    }
    if (handed_over) {
        TRY(server.listen_on(std::move(handed_over)));
        log_info("listening on the socket handed over");
    } else {
        TRY(server.listen_unix(config.socket));
        log_info("listening on {}", config.socket);
    }
    if (!config.listen.empty()) {
        TRY(server.listen_tcp(config.listen, tls));
        log_info("listening on {}{}", config.listen, tls ? ", by TLS" : "");
    }
    UniqueFd gateway = TRY_IN("starting the models' gateway",
                              netns::gateway_socket(SOCK_STREAM, mechanisms.network.gateway(), kModelPort));
    TRY(server.listen_apart(std::move(gateway), model_gateway(models, {limits, spend}, fetcher)));
    const auto intercept = TRY(Intercept::make(attached));
    const auto relay = TRY(Relay::start(
        mechanisms.network, *mechanisms.policies,
        [&intercept](const Flow& flow) { return intercept->wants(flow) ? Verdict::kIntercept : Verdict::kPass; },
        [&intercept](Wire wire, std::string begun, Flow flow) {
            return intercept->serve(std::move(wire), std::move(begun), std::move(flow));
        },
        [&name_watcher](const Flow& flow, netns::Egress rule) {
            name_watcher.refused(flow.box, flow.address, flow.port, flow.name, rule);
        }));
    attached.on_change([&relay](netns::Ipv4 box) { relay->reconsider(box); });
    const Undo forget_relay([&attached] { attached.on_change(nullptr); });
    // Boxes' names must not wait for what requests do on the loop.
    const auto dns_thread = TRY(FdThread::start("the DNS forwarder", dns->fd(), [&dns] {
        dns->on_ready();
        return -1;
    }));
    const auto executor = asio::any_io_executor(loop.get_executor());
    Certificates certificates{tls, preview_tls, fleet_tls};
    std::erase(certificates, nullptr);
    spawn_lasting(executor, "renewing the certificate", [&] { return renew_certificates(certificates); });
    bool cut_off = false;
    spawn(executor, "shutting down", shut_down(server, snapshots, exports, boxes, events, cut_off),
          [&loop](const Result<void>&) { loop.stop(); });
    spawn_lasting(executor, "feeding the watchdog", [] { return feed_watchdog(); });
    spawn_lasting(executor, "keeping the books", [&] {
        return meter.keep_books([&boxes] { return boxes.list(); }, [&snapshots] { return snapshots.book(); });
    });
    spawn_lasting(executor, "watching disks", [&boxes] { return boxes.watch_disk(); });
    TRY(schedules.adopt());
    // Last of what may refuse the start: each start that begins to read what an agent has said is counted.
    TRY(agents.adopt());
    remove_firewall.commit();
    notify_ready();
    lag.run();
    end_within(kJoinPatience);
    previews.book();
    meter.stop();
    layers.stop();
    workers.join();  // before what they work on goes
    decoders.join();
    records.join();
    mechanisms.cgroups.remove_empty_customers();
    // What was cut off refers to what is taken apart by a return; this leaves all of it where it is.
    if (cut_off) std::exit(1);
    return {};
}

int show_findings(const Config& config) {
    int worst = 0;
    for (const Finding& finding : examine_host(config)) {
        printf("%-8s %s\n", name_of(finding.level), finding.what.c_str());
        if (!finding.fix.empty()) printf("         fix: %s\n", finding.fix.c_str());
        if (finding.level == FindingLevel::kError) worst = 1;
    }
    return worst;
}

void use_log_format(const std::string& format) {
    if (format != "auto") set_log_format(format == "json" ? LogFormat::kJson : LogFormat::kText);
}

int show(const std::string& text) {
    fputs(text.c_str(), stdout);
    return 0;
}

int complain(const std::vector<std::string>& problems) {
    for (const std::string& problem : problems) fprintf(stderr, "hutchd: %s\n", problem.c_str());
    return problems.empty() ? 0 : 1;
}

int check_config(Settings& settings) {
    for (std::string& problem : check_files(settings)) settings.problems.push_back(std::move(problem));
    show(describe(settings));
    return complain(settings.problems);
}

int start(const Config& config) {
    use_log_format(config.log_format);
    signal(SIGPIPE, SIG_IGN);  // a client that goes away is an error of a write
    // What a large body or answer took goes back to the host at its end; else the threshold would grow (mallopt(3)).
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    const auto served = serve(config);
    if (served.ok()) return 0;
    log_error("{}", served.error().message);
    return 1;
}

int run(std::span<const char* const> arguments) {
    Settings settings = read_settings(arguments);
    if (settings.subcommand == Subcommand::kCheckConfig) return check_config(settings);
    if (!settings.problems.empty()) return complain(settings.problems);
    switch (settings.subcommand) {
        case Subcommand::kHelp:
            return show(help_text());
        case Subcommand::kVersion:
            return show(HUTCH_VERSION "\n");
        case Subcommand::kExampleConfig:
            return show(example_config());
        case Subcommand::kDoctor:
            return show_findings(settings.config);
        default:
            return start(settings.config);
    }
}

}  // namespace
}  // namespace hutch::daemon

int main(int argc, char** argv) {
    return hutch::daemon::run(std::span(argv, static_cast<size_t>(argc)).subspan(1));
}
