"""easel-checkpoint fetch and txt2img --model OWNER/NAME against a hub in this process (hub_server.py), and
huggingface_hub reading and writing the same cache.

EASEL_CHECKPOINT and EASEL_TXT2IMG are the programs; EASEL_REFERENCE_PYTHON a Python with huggingface_hub.
"""

import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from hub_server import COMMIT, Hub, Server, Store, etag

ROOT = Path(__file__).resolve().parents[2]
REPO = "easel-test/tiny"
FOLDER = "models--easel-test--tiny"
REFERENCE_PYTHON = os.environ.get("EASEL_REFERENCE_PYTHON", str(ROOT / ".venv-reference/bin/python"))
VENV_PYTHON = ROOT / ".venv/bin/python"

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
INDEX = {"_class_name": "StableDiffusionPipeline", "safety_checker": ["x", "Y"],
         "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"]}
NEEDED = {
    "model_index.json": json.dumps(INDEX).encode(),
    "tokenizer/vocab.json": b"{}",
    "tokenizer/merges.txt": b"",
    "unet/config.json": b'{"a": 1}',
    WEIGHTS: random.Random(0).randbytes(3 << 20),
}
UNNEEDED = {
    "README.md": b"a card",
    "safety_checker/config.json": b"{}",
    "unet/diffusion_pytorch_model.bin": b"pickled",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half of it",
}
HASH = etag(WEIGHTS, NEEDED[WEIGHTS])


class HubTest(unittest.TestCase):
    def setUp(self):
        self.home = Path(tempfile.mkdtemp(prefix="easel-hub-"))
        self.addCleanup(shutil.rmtree, self.home)
        self.store = Store()
        self.addCleanup(self.store.close)
        self.serve(NEEDED | UNNEEDED)

    def serve(self, files: dict):
        self.hub = Hub(self.store, REPO, files)
        self.addCleanup(self.hub.close)

    @property
    def cache(self) -> Path:
        return self.home / "hub"

    @property
    def snapshot(self) -> Path:
        return self.cache / FOLDER / "snapshots" / COMMIT

    @property
    def incomplete(self) -> Path:
        return self.cache / FOLDER / "blobs" / f"{HASH}.incomplete"

    def environment(self, **more) -> dict:
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("HF_", "HUGGING", "XDG_")) and not name.lower().endswith("_proxy")}
        return kept | {"HF_HOME": str(self.home), "HF_ENDPOINT": self.hub.endpoint, **more}

    def start(self, *words, **more) -> subprocess.Popen:
        return subprocess.Popen([os.environ["EASEL_CHECKPOINT"], "fetch", *words], env=self.environment(**more),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def fetch(self, *words, **more) -> str:
        """What a fetch that succeeds prints."""
        process = self.start(*(words or (REPO,)), **more)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        return out.strip()

    def refused(self, *words, code=1, **more) -> str:
        """The message of a fetch that fails, which leaves nothing that could be taken for a model."""
        process = self.start(*(words or (REPO,)), **more)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, err)
        self.assertEqual(out, "")
        self.assertFalse((self.cache / FOLDER / "refs/main").exists())
        return err

    def check_snapshot(self, files=NEEDED):
        found = {str(path.relative_to(self.snapshot)): path.read_bytes()
                 for path in self.snapshot.rglob("*") if not path.is_dir()}
        self.assertEqual(found.keys(), files.keys())
        self.assertEqual(found, files)
        blobs = {path.name for path in (self.cache / FOLDER / "blobs").iterdir()}
        self.assertEqual(blobs, {etag(name, content) for name, content in files.items()})
        for path in self.snapshot.rglob("*"):
            if not path.is_dir():
                self.assertFalse(os.path.isabs(os.readlink(path)))
        self.assertEqual((self.cache / FOLDER / "refs/main").read_text(), COMMIT)

    def wait_for_bytes(self, count: int):
        for _ in range(1000):
            if self.incomplete.exists() and self.incomplete.stat().st_size >= count:
                return
            time.sleep(0.01)
        self.fail("the transfer does not begin")

    def ranges(self) -> list:
        return [headers.get("Range") for method, _, headers in self.store.requests if method == "GET"]


class Fetch(HubTest):
    def test_whole(self):
        self.assertEqual(self.fetch(), str(self.snapshot))
        self.check_snapshot()
        before = len(self.store.requests)
        self.assertEqual(self.fetch(), str(self.snapshot))  # again: nothing is transferred
        self.assertEqual(len(self.store.requests), before)

    def test_variant(self):
        self.fetch(REPO, "--variant", "fp16")
        files = {name: content for name, content in NEEDED.items() if name != WEIGHTS}
        name = "unet/diffusion_pytorch_model.fp16.safetensors"
        self.check_snapshot(files | {name: UNNEEDED[name]})

    def test_one_file(self):
        files = {"a.ckpt": b"first", "a.yaml": b"model:", "b.ckpt": b"second"}
        self.serve(files)
        self.assertIn("name one: a.ckpt, b.ckpt", self.refused())
        self.assertIn("did you mean 'a.ckpt'", self.refused(REPO, "c.ckpt"))
        self.assertEqual(self.fetch(REPO, "a.ckpt"), str(self.snapshot / "a.ckpt"))
        self.check_snapshot({name: files[name] for name in ("a.ckpt", "a.yaml")})

    def test_revision(self):
        self.fetch(REPO, "--revision", "refs/pr/1")
        self.assertEqual((self.cache / FOLDER / "refs/refs/pr/1").read_text(), COMMIT)
        self.assertFalse((self.cache / FOLDER / "refs/main").exists())
        self.fetch(REPO, "--revision", COMMIT)
        self.assertEqual(len(list((self.cache / FOLDER / "refs").iterdir())), 1)

    def test_progress_as_json(self):
        process = self.start(REPO, "--progress", "json")
        err = process.communicate(timeout=60)[1]
        events = [json.loads(line) for line in err.splitlines()]
        transfers = [event for event in events if event["event"] == "transfer"]
        total = sum(map(len, NEEDED.values()))
        self.assertEqual({event["all"] for event in transfers}, {total})
        self.assertEqual(transfers[-1]["done"], total)

    def test_cache_variables(self):
        other = self.home / "elsewhere"
        self.assertTrue(self.fetch(REPO, HF_HUB_CACHE=str(other)).startswith(str(other)))

    def test_proxy(self):
        self.fetch(REPO, HF_ENDPOINT="http://hub.invalid", http_proxy=self.hub.endpoint, no_proxy="127.0.0.1")
        self.check_snapshot()
        self.assertTrue(all(path.startswith("http://hub.invalid/") for _, path, _ in self.hub.requests))


class Resume(HubTest):
    def test_killed(self):
        for kill in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=kill):
                shutil.rmtree(self.cache, ignore_errors=True)
                self.store.delay = 0.05
                process = self.start(REPO)
                self.wait_for_bytes(1 << 19)
                process.send_signal(kill)
                err = process.communicate(timeout=20)[1]
                self.assertEqual(process.returncode, -kill if kill == signal.SIGKILL else 130, err)
                there = self.incomplete.stat().st_size
                self.assertTrue(0 < there < len(NEEDED[WEIGHTS]))
                self.assertFalse((self.snapshot / WEIGHTS).exists())
                self.store.delay = 0
                self.store.requests.clear()
                self.fetch()
                self.check_snapshot()
                self.assertEqual(self.ranges(), [f"bytes={there}-"])

    def test_interrupted_before_the_first_answer(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            process = self.start(REPO, HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}")
            with silent.accept()[0] as connection:
                connection.recv(1)
                process.send_signal(signal.SIGINT)
                process.wait(timeout=20)
            process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)

    def test_server_without_ranges(self):
        self.incomplete.parent.mkdir(parents=True)
        self.incomplete.write_bytes(b"some bytes of something else")
        self.store.ranges = False
        self.fetch()
        self.check_snapshot()

    def test_cut_connections(self):
        self.store.cut[HASH] = [1 << 20, 1 << 19, 0]
        self.fetch()
        self.check_snapshot()
        self.assertEqual(self.ranges(), [None] + [f"bytes={n}-" for n in (1 << 20, 3 << 19, 3 << 19)])

    def test_always_truncated(self):
        self.store.cut[HASH] = [1 << 20] + [0] * 20
        self.assertIn("no answer from", self.refused())
        self.assertEqual(self.incomplete.stat().st_size, 1 << 20)  # for the next time
        self.assertLess(len(self.store.requests), 10)

    def test_shorter_than_stated(self):
        self.store.claim_less = 1000
        self.assertIn(WEIGHTS, self.refused())
        self.assertLess(len(self.store.requests), 15)
        self.assertFalse((self.snapshot / WEIGHTS).exists())

    def test_longer_than_stated(self):
        self.hub.linked[WEIGHTS] = {"X-Linked-Size": "1000"}
        self.assertIn("sends more than the 1000 bytes", self.refused())
        self.assertLessEqual(self.incomplete.stat().st_size, 1000)

    def test_wrong_bytes(self):
        self.store.blobs[HASH] = bytes(len(NEEDED[WEIGHTS]))
        self.assertIn(f"expected {HASH}", self.refused())
        self.assertFalse(self.incomplete.exists())
        self.store.blobs[HASH] = NEEDED[WEIGHTS]
        self.fetch()
        self.check_snapshot()

    def test_wrong_bytes_of_a_small_file(self):
        self.hub.linked["unet/config.json"] = {"ETag": '"' + "0" * 40 + '"'}
        self.assertIn("unet/config.json: the bytes that came have the hash", self.refused())

    def test_damaged_blob_is_fetched_again(self):
        self.fetch()
        (self.cache / FOLDER / "blobs" / HASH).write_bytes(b"short")
        self.fetch()
        self.check_snapshot()

    def test_busy_hub(self):
        self.hub.failures = [503, 429]
        self.fetch()
        self.hub.failures = [429] * 10
        process = self.start(REPO)
        self.assertIn("too often", process.communicate(timeout=60)[1])
        self.assertEqual(process.returncode, 1)


class TwoAtOnce(HubTest):
    def test_two_fetches(self):
        self.store.delay = 0.02
        processes = [self.start(REPO) for _ in range(2)]
        errors = [process.communicate(timeout=60)[1] for process in processes]
        self.assertEqual([process.returncode for process in processes], [0, 0], errors)
        self.check_snapshot()
        self.assertEqual(len(self.ranges()), 1)  # one of them fetched it, the other waited

    def test_waits_for_whoever_has_the_lock(self):
        lock = self.cache / ".locks" / FOLDER / f"{HASH}.lock"
        lock.parent.mkdir(parents=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            process = self.start(REPO)
            for line in process.stderr:
                if "waiting for it" in line:
                    break
            self.assertFalse(self.incomplete.exists())
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)
        self.check_snapshot()
        self.assertIn("waiting for it", line)


class Access(HubTest):
    def authorizations(self, server: Server) -> set:
        return {headers.get("Authorization") for _, _, headers in server.requests}

    def test_token_stays_with_the_hub(self):
        self.hub.token = "hf_secret"
        self.fetch(REPO, HF_TOKEN="hf_secret")
        self.check_snapshot()
        self.assertEqual(self.authorizations(self.hub), {"Bearer hf_secret"})
        self.assertEqual(self.authorizations(self.store), {None})
        self.assertTrue(self.store.requests)

    def test_token_file(self):
        self.hub.token = "hf_secret"
        (self.home / "token").write_text("hf_secret\n")
        self.fetch()
        elsewhere = self.home / "other-token"
        (self.home / "token").rename(elsewhere)
        self.fetch(REPO, HF_TOKEN_PATH=str(elsewhere))

    def test_token_is_missing(self):
        self.hub.token = "hf_secret"
        self.assertIn("needs a token in HF_TOKEN", self.refused())

    def test_token_is_wrong(self):
        self.hub.token = "hf_secret"
        message = self.refused(HF_TOKEN="hf_other")
        self.assertIn("is not accepted", message)
        self.assertNotIn("hf_other", message)

    def test_token_is_no_token(self):
        message = self.refused(HF_TOKEN="hf_a\r\nX-Evil: 1", code=2)
        self.assertNotIn("Evil", message)
        self.assertEqual(self.hub.requests, [])

    def test_gated(self):
        self.hub.token, self.hub.gated = "hf_secret", True
        message = self.refused()
        self.assertIn(f"ask for access at {self.hub.endpoint}/{REPO}", message)
        self.assertIn("must be let in first", self.refused(HF_TOKEN="hf_secret"))

    def test_not_found(self):
        self.assertIn("no revision 'other'", self.refused(REPO, "--revision", "other"))
        message = self.refused("easel-test/other")
        self.assertIn("easel-test/other at main", message)
        self.assertIn("404", message)

    def test_no_network(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        begin = time.monotonic()
        self.assertIn("is the network there", self.refused(HF_ENDPOINT=address))
        self.assertLess(time.monotonic() - begin, 5)

    def test_offline(self):
        self.assertIn("HF_HUB_OFFLINE", self.refused(HF_HUB_OFFLINE="1"))
        self.assertEqual(self.hub.requests, [])

    def test_no_hub(self):
        self.hub.names = [1]
        self.assertIn("no safe relative path", self.refused())
        self.assertIn("expected an address", self.refused(HF_ENDPOINT="ftp://localhost", code=2))


class Hostile(HubTest):
    def test_names(self):
        for name in ("../evil.json", "unet/../../evil", "/etc/evil", "a\\..\\evil", "a\nb", "unet//evil", "."):
            with self.subTest(name=name):
                self.hub.names = [*NEEDED, name]
                self.assertIn("no safe relative path", self.refused())

    def test_commit(self):
        self.hub.commit = "../../../../../../../tmp"
        self.assertIn("states the commit", self.refused())

    def test_hash(self):
        for value in ('"../../../../evil"', '"abc"', ""):
            with self.subTest(hash=value):
                self.hub.linked["unet/config.json"] = {"ETag": value}
                self.assertIn("as the file's hash", self.refused())

    def test_size(self):
        for size, message in (("16000000000000", "free"), ("99999999999999999999", "size"), ("-1", "size"),
                              ("9999999999999999999", "which no model has")):
            with self.subTest(size=size):
                self.hub.linked[WEIGHTS] = {"X-Linked-Size": size}
                self.assertIn(message, self.refused())
                self.assertEqual(self.store.requests, [])

    def test_redirections(self):
        for target, message in (("file:///etc/passwd", "is not followed"), ("gopher://localhost/", "is not followed"),
                                (self.store.url(HASH), "more than 8 times")):
            with self.subTest(target=target):
                self.store.redirect = target
                self.assertIn(message, self.refused())

    def test_listing_without_end(self):
        self.hub.names = ["a" * 200 + str(i) for i in range(200_000)]
        self.assertIn("larger than", self.refused())

    def test_repositories(self):
        for repo in ("tiny", "../../etc", "a/b/c", "https://localhost/a/b"):
            with self.subTest(repo=repo):
                self.assertIn("no repository", self.refused(repo, code=2))
        self.assertEqual(self.hub.requests, [])


@unittest.skipUnless(shutil.which("openssl"), "needs the openssl program to make a certificate")
class Tls(HubTest):
    def test_certificates_are_checked(self):
        import ssl
        key, certificate = self.home / "key.pem", self.home / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key,
                        "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.hub.socket = context.wrap_socket(self.hub.socket, server_side=True)
        address = self.hub.endpoint.replace("http:", "https:")
        self.assertIn("certificate", self.refused(HF_ENDPOINT=address))
        self.assertEqual(self.hub.requests, [])
        # The store has no certificate: from https nothing leads back to http.
        self.assertIn("is not followed", self.refused(HF_ENDPOINT=address, SSL_CERT_FILE=str(certificate)))
        self.assertTrue(self.hub.requests)
        self.assertEqual(self.store.requests, [])


class Txt2Img(HubTest):
    def run_txt2img(self, model: str, **more) -> subprocess.CompletedProcess:
        return subprocess.run([os.environ["EASEL_TXT2IMG"], "--model", model, "--prompt", "x", "--steps", "1",
                               "--device", "cpu", "-o", str(self.home / "x.png")], env=self.environment(**more),
                              capture_output=True, text=True, timeout=120, cwd=self.home)

    def test_says_how_to_fetch(self):
        result = self.run_txt2img(REPO + "@refs/pr/1")
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"easel-checkpoint fetch {REPO} --revision refs/pr/1", result.stderr)
        self.assertEqual(self.hub.requests, [])  # never unasked

    @unittest.skipUnless(VENV_PYTHON.exists(), "needs .venv, to make a small random model")
    def test_draws(self):
        made = self.home / "made"
        subprocess.run([VENV_PYTHON, ROOT / "scripts/make_random_checkpoint.py", "--size", "tiny", "--format",
                        "diffusers", "--output", made], check=True, capture_output=True)
        self.serve({str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*") if path.is_file()})
        self.fetch()
        self.hub.close()  # no network
        result = self.run_txt2img(REPO)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue((self.home / "x.png").read_bytes().startswith(b"\x89PNG"))


def has_huggingface_hub() -> bool:
    try:
        return subprocess.run([REFERENCE_PYTHON, "-c", "import huggingface_hub"]).returncode == 0
    except OSError:
        return False


@unittest.skipUnless(has_huggingface_hub(), f"{REFERENCE_PYTHON} has no huggingface_hub (scripts/setup --reference)")
class HuggingFaceHub(HubTest):
    def python(self, code: str, **more) -> str:
        names = ", ".join(name for name in ("snapshot_download", "hf_hub_download", "scan_cache_dir") if name in code)
        result = subprocess.run([REFERENCE_PYTHON, "-c", f"from huggingface_hub import {names}\n{code}"],
                                env=self.environment(HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1", **more),
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.strip()

    def test_reads_our_cache(self):
        self.fetch()
        offline = {"HF_HUB_OFFLINE": "1"}
        self.assertEqual(self.python(f"print(snapshot_download({REPO!r}))", **offline), str(self.snapshot))
        path = Path(self.python(f"print(hf_hub_download({REPO!r}, {WEIGHTS!r}))", **offline))
        self.assertEqual(path.read_bytes(), NEEDED[WEIGHTS])
        scan = self.python("for repo in scan_cache_dir().repos: print(repo.repo_id, repo.nb_files, repo.size_on_disk)\n"
                           "print(scan_cache_dir().warnings)", **offline)
        self.assertEqual(scan, f"{REPO} {len(NEEDED)} {sum(map(len, NEEDED.values()))}\n[]")
        # Online it has nothing left to transfer either.
        self.store.requests.clear()
        self.python(f"snapshot_download({REPO!r}, allow_patterns={sorted(NEEDED)!r})")
        self.assertEqual(self.store.requests, [])

    def test_its_cache_is_found(self):
        self.python(f"snapshot_download({REPO!r})")
        self.store.requests.clear()
        self.assertEqual(self.fetch(), str(self.snapshot))
        self.assertEqual(self.store.requests, [])
        self.hub.requests.clear()
        result = Txt2Img.run_txt2img(self, REPO)  # found: it complains about what is in the files
        self.assertIn(str(self.snapshot), result.stderr)
        self.assertNotIn("fetch", result.stderr)
        self.assertEqual(self.hub.requests, [])

    def test_each_goes_on_where_the_other_stopped(self):
        half = NEEDED[WEIGHTS][:1 << 20]
        self.incomplete.parent.mkdir(parents=True)
        self.incomplete.write_bytes(half)
        self.python(f"print(hf_hub_download({REPO!r}, {WEIGHTS!r}))")
        self.assertEqual(self.ranges(), [f"bytes={1 << 20}-"])
        shutil.rmtree(self.cache)
        self.store.requests.clear()
        self.store.delay = 0.05
        process = self.start(REPO)
        self.wait_for_bytes(1 << 20)
        process.kill()
        process.communicate()
        there = self.incomplete.stat().st_size
        self.store.delay = 0
        self.store.requests.clear()
        self.python(f"print(hf_hub_download({REPO!r}, {WEIGHTS!r}))")
        self.assertEqual(self.ranges(), [f"bytes={there}-"])
        self.assertEqual(hashlib.sha256((self.snapshot / WEIGHTS).read_bytes()).hexdigest(), HASH)


if __name__ == "__main__":
    for program in ("EASEL_CHECKPOINT", "EASEL_TXT2IMG"):
        if not Path(os.environ.get(program, "")).is_file():
            sys.exit(f"{program} is not set to that program")
    unittest.main()
