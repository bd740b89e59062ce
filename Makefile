# demo, test, property, kill, lint, bench, test-vm VM=<ssh alias>, install and uninstall (PREFIX, DESTDIR).

PREFIX = /usr/local
DESTDIR =
CARGO = cargo
# What is installed; cargo builds it first, unless another file is named here.
BINARY = $(RELEASE)

RELEASE = $(or $(CARGO_TARGET_DIR),target)/release/git-banger
SHELL_SCRIPTS = .ci/run tests/tools tests/other-git tests/vm
SHARE = $(DESTDIR)$(PREFIX)/share
PLACES = \
	$(DESTDIR)$(PREFIX)/bin/git-banger \
	$(SHARE)/man/man1/git-banger.1 \
	$(SHARE)/bash-completion/completions/git-banger \
	$(SHARE)/zsh/site-functions/_git-banger \
	$(SHARE)/fish/vendor_conf.d/git-banger.fish

.PHONY: all demo test property kill lint bench test-vm install uninstall $(RELEASE)

all: $(RELEASE)

$(RELEASE):
	$(CARGO) build --release --locked

demo:
	@$(CARGO) run --locked --quiet --example demo

test:
	tests/tools
	@echo "the suite with $$(git version)"
	$(CARGO) test --locked
	tests/other-git $(CARGO) test --locked --test it --

# Random work on both sides, far more of it than in 'test', where what fails is made small; and 100 pulls in a row.
property:
	GIT_BANGER_TEST_SEQUENCES=300 GIT_BANGER_TEST_SHRINK=100 GIT_BANGER_TEST_PULLS=100 \
		$(CARGO) test --locked --test it -- property growth --nocapture

# Minutes: a large landing is killed at each system call that changes a file; and how much memory one takes.
kill:
	$(CARGO) test --locked --test it -- --ignored --nocapture swap:: cost::

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	shellcheck $(SHELL_SCRIPTS)

bench:
	$(CARGO) bench --locked --bench export --bench landing

# Any VM that ssh reaches (with SSH_CONFIG=FILE, if it is named in another file) and that has git.
test-vm: $(BINARY)
	tests/vm $(BINARY) "$(VM)" $(SSH_CONFIG)

install: $(BINARY)
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/git-banger
	install -D -m 644 man/git-banger.1 $(SHARE)/man/man1/git-banger.1
	install -D -m 644 completions/git-banger.bash $(SHARE)/bash-completion/completions/git-banger
	install -D -m 644 completions/_git-banger $(SHARE)/zsh/site-functions/_git-banger
	install -D -m 644 completions/git-banger.fish $(SHARE)/fish/vendor_conf.d/git-banger.fish
	$(if $(DESTDIR)$(filter /usr /usr/local,$(PREFIX)),,@echo \
		"for zsh, in ~/.zshrc before compinit: fpath=('$(SHARE)/zsh/site-functions' \$$fpath)")

uninstall:
	rm -f $(PLACES)
