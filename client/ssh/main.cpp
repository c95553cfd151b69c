#include <libssh/server.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>

#include "base/undo.h"
#include "client/help_format.h"
#include "client/ssh/door.h"
#include "client/ssh/host_key.h"
#include "client/ssh/visit.h"

namespace hutch::client {
namespace {

constexpr int kUsedWrongly = 2;

struct Options {
    std::string listen;
    std::string host_key = "/var/lib/hutch-ssh/host_key";
    std::string host = "http://127.0.0.1:8080";
    std::string ca_file;
};

// Modern ones alone: OpenSSH since 2014 has them. Diffie and Hellman's in large fields cost a stranger nothing, and us
// much.
constexpr const char* kKeyExchanges =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521";
constexpr const char* kCiphers =
    "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr";
constexpr const char* kMacs = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

Result<void> set_up(ssh_bind bind, HostKey key) {
    const bool no_files = false;  // of libssh's, in /etc
    bool well = ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no_files) == SSH_OK;
    well = well && ssh_bind_options_set(bind, SSH_BIND_OPTIONS_KEY_EXCHANGE, kKeyExchanges) == SSH_OK;
    for (const auto option : {SSH_BIND_OPTIONS_CIPHERS_C_S, SSH_BIND_OPTIONS_CIPHERS_S_C})
        well = well && ssh_bind_options_set(bind, option, kCiphers) == SSH_OK;
    for (const auto option : {SSH_BIND_OPTIONS_HMAC_C_S, SSH_BIND_OPTIONS_HMAC_S_C})
        well = well && ssh_bind_options_set(bind, option, kMacs) == SSH_OK;
    well = well && ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, key.key.get()) == SSH_OK;
    if (!well) return Error{ErrorKind::kSystem, 0, std::string("libssh: ") + ssh_get_error(bind)};
    (void)key.key.release();  // `bind`'s now
    return {};
}

// On the Unix socket whoever asks is the operator of the host, with whatever key: nothing that strangers talk to may be
// that.
Result<Endpoint> daemon_of(const Options& options) {
    Endpoint daemon{.host = TRY_IN("--host", parse_host(options.host)), .api_key = "", .ca_file = options.ca_file};
    if (daemon.host.kind == Host::Kind::kTcp) return daemon;
    return invalid(
        "--host: must be http://ADDRESS:PORT or https://NAME:PORT of a hutchd with `listen` set, for on its "
        "Unix socket no API keys are asked for");
}

Result<void> serve(const Options& options) {
    const Endpoint daemon = TRY(daemon_of(options));
    HostKey key = TRY(open_host_key(options.host_key));
    const std::string fingerprint = key.fingerprint;
    ssh_bind bind = ssh_bind_new();
    const Undo free_bind([bind] { ssh_bind_free(bind); });
    TRY(set_up(bind, std::move(key)));
    UniqueFd listening = TRY(listen_at(options.listen));
    say_of_ssh("host key ED25519 " + fingerprint);
    say_of_ssh("listening on " + address_of(listening.get()));
    return keep_door(std::move(listening), bind, daemon);
}

void add_options(CLI::App& app, Options& options) {
    app.formatter(make_help_formatter());
    app.set_help_flag("-h,--help", "Print this help");
    app.set_version_flag("--version", "hutch-ssh " HUTCH_VERSION, "Print the version of hutch-ssh");
    app.add_option("--listen", options.listen, "Where guests come: 0.0.0.0:2222 or [::]:2222")
        ->type_name("ADDRESS:PORT")
        ->required();
    app.add_option("--host", options.host,
                   "The daemon, which needs `listen`: http://address:port or https://name:port,\nelse " + options.host)
        ->type_name("URL");
    app.add_option("--ca-file", options.ca_file,
                   "Whose certificates to trust over https: a PEM file (else the system's)")
        ->type_name("FILE");
    app.add_option("--host-key", options.host_key,
                   "ed25519 key that this is known by, made where there is none,\nelse " + options.host_key)
        ->type_name("FILE");
    app.footer(
        "Example:\n"
        "  hutch-ssh --listen 0.0.0.0:2222\n"
        "  ssh -p 2222 BOX@host      (from elsewhere; the password is an API key)");
}

int run(int argc, char** argv) {
    Options options;
    CLI::App app("SSH into boxes: the user is a box's id or name, the password an API key.", "hutch-ssh");
    add_options(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked) {
        return app.exit(asked);
    } catch (const CLI::ParseError& error) {
        say_of_ssh(std::string(error.what()) + " (see `hutch-ssh --help`)");
        return kUsedWrongly;
    }
    ssh_init();
    const auto served = serve(options);
    if (served.ok()) return EXIT_SUCCESS;
    say_of_ssh(served.error().message);
    return served.error().kind == ErrorKind::kInvalid ? kUsedWrongly : EXIT_FAILURE;
}

}  // namespace
}  // namespace hutch::client

int main(int argc, char** argv) {
    try {
        return hutch::client::run(argc, argv);
    } catch (const std::exception& error) {
        hutch::client::say_of_ssh(std::string("unexpected: ") + error.what());
        return EXIT_FAILURE;
    }
}
