# SPDX-License-Identifier: GPL-2.0-only
# Objects of vm/, for kmod/Kbuild.
vellum-y += vm/vm.o
vellum-y += vm/requests.o
vellum-y += vm/iobus.o
vellum-y += vm/debugfs.o
vellum-y += vm/ept_file.o
vellum-y += vm/trace.o
vellum-y += vm/ioeventfd.o
vellum-y += vm/settings.o
vellum-y += vm/clock.o
vellum-y += vm/memory.o
vellum-y += vm/notifier.o
vellum-y += vm/platform.o
vellum-y += vm/reclaimer.o
vellum-y += vm/nx.o
vellum-y += vm/host_page.o
