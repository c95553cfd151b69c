#include "client/ssh/host_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/undo.h"

namespace hutch::client {
namespace {

// Beside its place first: a key that is there is whole.
Result<void> make_host_key(const std::string& path) {
    ssh_key key = nullptr;
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK)
        return Error{ErrorKind::kSystem, 0, "making a host key failed"};
    const Undo free_key([key] { ssh_key_free(key); });
    const std::string fresh = path + ".new";
    (void)unlink(fresh.c_str());
    const UniqueFd file = TRY(open_at(AT_FDCWD, fresh, O_WRONLY | O_CREAT | O_EXCL, 0600));
    const std::string by_fd = "/proc/self/fd/" + std::to_string(file.get());
    if (ssh_pki_export_privkey_file(key, nullptr, nullptr, nullptr, by_fd.c_str()) != SSH_OK)
        return Error{ErrorKind::kSystem, 0, "writing " + fresh + " failed"};
    if (fsync(file.get()) != 0) return errno_error("writing " + fresh);
    if (rename(fresh.c_str(), path.c_str()) != 0) return errno_error("renaming " + fresh + " to " + path);
    return {};
}

// True: it is there, and well.
Result<bool> check_host_key(const std::string& path) {
    struct stat found {};
    if (stat(path.c_str(), &found) != 0) {
        if (errno == ENOENT) return false;
        return errno_error("--host-key: looking at " + path);
    }
    if ((found.st_mode & 077U) != 0) return invalid("--host-key: others may read " + path + "; run: chmod 600 " + path);
    return true;
}

Result<std::string> fingerprint_of(ssh_key key) {
    unsigned char* hash = nullptr;
    size_t size = 0;
    if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &size) != 0)
        return Error{ErrorKind::kSystem, 0, "hashing the host key failed"};
    const Undo free_hash([&hash] { ssh_clean_pubkey_hash(&hash); });
    char* text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, size);
    if (text == nullptr) return Error{ErrorKind::kSystem, 0, "hashing the host key failed"};
    std::string fingerprint = text;
    ssh_string_free_char(text);
    return fingerprint;
}

}  // namespace

Result<HostKey> open_host_key(const std::string& path) {
    if (!TRY(check_host_key(path))) TRY_IN("--host-key", make_host_key(path));
    ssh_key key = nullptr;
    if (ssh_pki_import_privkey_file(path.c_str(), nullptr, nullptr, nullptr, &key) != SSH_OK)
        return invalid("--host-key: " + path + " is no private key without a passphrase");
    HostKey opened;
    opened.key.reset(key);
    if (ssh_key_type(key) != SSH_KEYTYPE_ED25519)
        return invalid("--host-key: " + path + " is no ed25519 key; run: ssh-keygen -t ed25519 -N '' -f " + path);
    opened.fingerprint = TRY(fingerprint_of(key));
    return opened;
}

}  // namespace hutch::client
