// hutchd: wiring. Options, the parts in order, and the end.

#include <malloc.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "base/undo.h"
#include "daemon/api/resources.h"
#include "daemon/api/server.h"
#include "daemon/box/network.h"
#include "daemon/clock.h"
#include "daemon/doctor.h"
#include "daemon/fd_thread.h"
#include "daemon/firewall_keeper.h"
#include "daemon/host.h"
#include "daemon/lag_meter.h"
#include "daemon/log.h"
#include "daemon/spawn.h"
#include "daemon/systemd.h"
#include "daemon/text.h"
#include "netns/dns.h"
#include "netns/dns_socket.h"

namespace hutch::daemon {
namespace {

constexpr std::chrono::seconds kShutdownPatience{10};  // for requests under way
constexpr std::chrono::seconds kDrainPatience{10};     // then for what goes on behind them
constexpr std::chrono::seconds kJoinPatience{5};       // then for kernel calls
constexpr size_t kDecoders = 2;                        // threads for large bodies and answers

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

Task<> shut_down(Server& server, Snapshots& snapshots, Manager& boxes, EventLog& events, bool& cut_off) {
    asio::signal_set signals(co_await asio::this_coro::executor, SIGTERM, SIGINT);
    co_await signals.async_wait(kAwait);
    notify_stopping();
    log_info("shutting down; boxes and their files stay");
    events.close();  // or who follows them would be waited for
    co_await server.close(kShutdownPatience);
    snapshots.stop();
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

Result<std::shared_ptr<Tls>> load_certificate(const Config& config) {
    if (config.tls_certificate.empty() && config.tls_key.empty()) return std::shared_ptr<Tls>();
    if (config.listen.empty()) return invalid("listen: is required beside tls_certificate, which is of the TCP port");
    return Tls::load(config.tls_certificate, config.tls_key);
}

void reload_certificate(Tls* tls) {
    if (tls == nullptr) return log_info("SIGHUP: there is no certificate to read anew");
    const auto renewed = tls->reload();
    if (renewed.ok()) return log_info("the certificate was read anew");
    log_error("the certificate stays as it was: {}", renewed.error().message);
}

// Certificates end every few months; connections and boxes need not end with them. Nor does a daemon without one.
Task<> renew_certificate(std::shared_ptr<Tls> tls) {
    asio::signal_set signals(co_await asio::this_coro::executor, SIGHUP);
    for (;;) {
        const auto [failed, signal] = co_await signals.async_wait(kAwait);
        if (failed) co_return;
        reload_certificate(tls.get());
    }
}

Result<void> serve(const Config& config) {
    raise_descriptor_limit();
    const std::shared_ptr<Tls> tls = TRY(load_certificate(config));
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

    asio::io_context loop(1);
    LagMeter lag(loop);
    Workers workers(config.workers);
    Workers decoders(kDecoders);
    EventLog events(loop.get_executor(), unix_now_ms());
    Runs runs(loop.get_executor(), records, events, config.state_dir + "/runs");
    Layers layers(loop.get_executor(), mechanisms, records);
    Meter meter(loop.get_executor(), mechanisms, records, layers);
    Manager boxes(loop.get_executor(), mechanisms, records, workers, layers, meter, runs, events);
    TRY(boxes.adopt());
    TRY(runs.adopt(boxes.list()));
    Images images(boxes, runs);
    TRY(images.load());
    Snapshots snapshots(boxes);
    TRY(snapshots.load());
    TRY(layers.load());
    images.claim_layers();
    for (const auto& box : boxes.list()) meter.weigh(box);
    const auto dns = TRY_IN("starting the DNS forwarder",
                            netns::DnsForwarder::open(mechanisms.network, [&mechanisms](netns::Ipv4 box) {
                                return mechanisms.policies->may_resolve(box);
                            }));

    Models models = TRY(Models::load(boxes, config));
    Fetcher fetcher = TRY(Fetcher::open(loop.get_executor()));
    Agents agents(
        boxes, runs,
        [&models](const Box& box, const AgentRecord& agent, const Harness& harness, const std::string& run) {
            return models.open(run, box, agent, harness);
        },
        [&models](const std::string& run) { models.close(run); });
    TRY(agents.adopt());
    Services services{boxes, runs, images, snapshots, agents, models, meter, events, config, lag};
    Router router;
    add_box_routes(router, services);
    add_env_routes(router, services);
    add_label_routes(router, services);
    add_network_routes(router, services);
    add_sleep_routes(router, services);
    add_exec_routes(router, services);
    add_run_routes(router, services);
    add_terminal_routes(router, services);
    add_file_routes(router, services);
    add_git_routes(router, services);
    add_image_routes(router, services);
    add_event_routes(router, services);
    add_host_routes(router, services);
    add_metrics_routes(router, services);
    add_usage_routes(router, services);
    add_snapshot_routes(router, services);
    add_space_routes(router, services);
    add_agent_routes(router, services);
    add_prompt_routes(router, services);
    add_model_key_routes(router, services);
    add_unbuilt_routes(router);
    router.set_guard([&services](const Exchange& exchange, const Params& params) {
        return check_route(services, exchange, params);
    });
    KeyRing keys = TRY(KeyRing::load(records));
    add_key_routes(router, keys);
    const Auth auth = TRY(Auth::load(config.api_key_file, config.socket_group, keys));
    Server server(loop.get_executor(), router, auth, config, decoders);
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
    TRY(server.listen_apart(std::move(gateway), model_gateway(models, fetcher)));
    // Boxes' names must not wait for what requests do on the loop.
    const auto dns_thread = TRY(FdThread::start("the DNS forwarder", dns->fd(), [&dns] {
        dns->on_ready();
        return -1;
    }));
    const auto executor = asio::any_io_executor(loop.get_executor());
    spawn_lasting(executor, "renewing the certificate", [&tls] { return renew_certificate(tls); });
    bool cut_off = false;
    spawn(executor, "shutting down", shut_down(server, snapshots, boxes, events, cut_off),
          [&loop](const Result<void>&) { loop.stop(); });
    spawn_lasting(executor, "feeding the watchdog", [] { return feed_watchdog(); });
    spawn_lasting(executor, "keeping the books", [&] {
        return meter.keep_books([&boxes] { return boxes.list(); }, [&snapshots] { snapshots.book(); });
    });
    remove_firewall.commit();
    notify_ready();
    lag.run();
    end_within(kJoinPatience);
    meter.stop();
    layers.stop();
    workers.join();  // before what they work on goes
    decoders.join();
    records.join();
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

std::string is_server(const std::string& url) {
    return is_web_address(url) && url.back() != '/'
               ? ""
               : "must be an address like https://github.com, without a slash at its end";
}

void add_options(CLI::App& app, Config& config) {
    app.set_config("--config", "/etc/hutch/hutchd.toml",
                   "Settings as TOML; each option below is a key of the same name");
    app.add_option("--state_dir", config.state_dir, "Where boxes, images and records are kept")->capture_default_str();
    app.add_option(
           "--store_size", config.store_size,
           "Size, such as 50G, of a btrfs in a file of state_dir that holds boxes and images; made at the first "
           "start, larger at a later one. Without it, a directory of state_dir holds them")
        ->transform(CLI::AsSizeValue(false));
    app.add_option("--run_dir", config.run_dir, "Where run-time files are")->capture_default_str();
    app.add_option("--socket", config.socket, "The Unix socket of the API")->capture_default_str();
    app.add_option("--socket_group", config.socket_group, "Members of this group may use the socket")
        ->capture_default_str();
    app.add_option("--listen", config.listen, "ADDRESS:PORT of the API over TCP, for who has an API key");
    app.add_option("--api_key_file", config.api_key_file, "File of API keys, one per line, chmod 600");
    app.add_option("--tls_certificate", config.tls_certificate,
                   "PEM file of the certificate that the TCP port shows, with its chain; read anew on SIGHUP");
    app.add_option("--tls_key", config.tls_key, "PEM file of the certificate's key, chmod 600");
    app.add_option("--connections_per_address", config.connections_per_address,
                   "Connections over TCP from one address (of IPv6: one /64) at a time; 0: without a limit")
        ->capture_default_str();
    app.add_option("--requests_per_minute", config.requests_per_minute,
                   "Requests of one API key's customer, as many at once after a quiet minute; 0: without a limit")
        ->capture_default_str();
    app.add_option("--wrong_keys_per_minute", config.wrong_keys_per_minute,
                   "Wrong API keys from one address before it is refused; 0, for who stands behind a proxy: no limit")
        ->capture_default_str();
    app.add_option(
           "--memory_budget", config.memory_budget,
           "Memory, such as 2G, that bodies of requests and answers may take at a time; one customer has at most half")
        ->transform(CLI::AsSizeValue(false))
        ->check(CLI::Range(kLeastMemoryBudget, SIZE_MAX))
        ->capture_default_str();
    app.add_option("--network", config.network, "IPv4 range of the boxes' addresses")->capture_default_str();
    app.add_option("--default_image", config.default_image, "Image of boxes that name none")->capture_default_str();
    app.add_option("--pool", config.pool, "Network slots kept ready")->check(CLI::Range(0, 256))->capture_default_str();
    app.add_option("--workers", config.workers, "Threads for blocking kernel calls")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    app.add_option("--max_boxes", config.max_boxes, "Boxes this host may hold")
        ->check(CLI::Range(1, 20000))
        ->capture_default_str();
    app.add_option("--idle_timeout", config.idle_timeout, "Seconds without work after which a box is paused; 0: never")
        ->check(CLI::Range(0U, kLongestTimeout))
        ->capture_default_str();
    app.add_option("--reclaim_after", config.reclaim_after,
                   "Seconds of a pause after which the memory of the box is asked back")
        ->check(CLI::Range(0U, kLongestTimeout))
        ->capture_default_str();
    app.add_option("--log_format", config.log_format,
                   "Of the log on standard error; auto: text on a terminal, else json")
        ->check(CLI::IsMember({"auto", "text", "json"}))
        ->capture_default_str();
    app.add_option("--github_url", config.github_url,
                   "The server that the tokens of boxes are for, and are told to alone")
        ->check(is_server)
        ->capture_default_str();
    app.add_option("--github_api_url", config.github_api_url, "Its API, for pull requests")
        ->check(is_server)
        ->capture_default_str();
    for (ModelProvider& provider : config.models) {
        app.add_option("--" + provider.name + "_url", provider.url,
                       "Where the models called " + provider.name + "/... answer")
            ->check(is_server)
            ->capture_default_str();
        app.add_option("--" + provider.name + "_key_file", provider.key_file,
                       "File with the key for them, chmod 600, of boxes that have no other");
    }
    app.add_flag(
        "--private_webhooks", config.private_webhooks,
        "Webhooks of prompts may go to loopback and private addresses, behind which lies what trusts this host");
    app.add_option("--cpu_hour_usd", config.cpu_hour_usd, "Price of an active vCPU-hour")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--gb_month_usd", config.gb_month_usd, "Price of a GB (10^9 bytes) kept for a month of 730 hours")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--name", config.name, "Name of its control groups, firewall table and links: for a second daemon")
        ->capture_default_str();
}

int run(int argc, char** argv) {
    Config config;
    CLI::App app("hutchd: computers for agents, made by the kernel of this host", "hutchd");
    app.set_version_flag("--version", HUTCH_VERSION);
    add_options(app, config);
    const CLI::App* doctor =
        app.add_subcommand("doctor", "Tell whether this host can run boxes, and how to mend what is missing");
    CLI11_PARSE(app, argc, argv);
    if (doctor->parsed()) return show_findings(config);
    if (config.log_format != "auto") {
        set_log_format(config.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
    }
    signal(SIGPIPE, SIG_IGN);  // a client that goes away is an error of a write
    // What a large body or answer took goes back to the host at its end; else the threshold would grow (mallopt(3)).
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    const auto served = serve(config);
    if (served.ok()) return 0;
    log_error("{}", served.error().message);
    return 1;
}

}  // namespace
}  // namespace hutch::daemon

int main(int argc, char** argv) {
    return hutch::daemon::run(argc, argv);
}
