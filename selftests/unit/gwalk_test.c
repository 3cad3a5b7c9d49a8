// SPDX-License-Identifier: GPL-2.0
/*
 * The guest page walk: cases named after the manual's rules, and random page
 * tables compared with a model that shares no code and no structure with it.
 */
#include "kselftest_harness.h"

#include <asm/processor-flags.h>
#include <errno.h>

#include "../../arch/x86/mmu/gwalk.h"
#include "random.h"
#include "text.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

#define EFER_LMA	(1ull << 10)
#define EFER_NXE	(1ull << 11)

#define P	(1ull << 0)
#define RW	(1ull << 1)
#define US	(1ull << 2)
#define A	(1ull << 5)
#define D	(1ull << 6)
#define PS	(1ull << 7)
#define XD	(1ull << 63)

/* --- Random page tables -------------------------------------------------------- */

/*
 * There are no tables: what an address holds is drawn when it is read first,
 * from the address and the seed, whatever level it is read for. Writes are
 * kept in a list over that.
 */
struct world {
	struct gwalk_ctx ctx;
	u64 pdptrs[4];
	u64 seed;
	unsigned int nr_writes;
	struct {
		u64 gpa;
		u64 val;
	} writes[16];
	bool misaligned;
};

static u64 mix(u64 a, u64 b)
{
	u64 z = a * 0x9e3779b97f4a7c15ull + b;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static bool percent(u64 *dice, unsigned int n)
{
	*dice = mix(*dice, 1);
	return *dice % 100 < n;
}

static bool is_backed(const struct world *w, u64 gpa)
{
	return mix(w->seed ^ 1, gpa) % 64 != 0;
}

static bool is_writable(const struct world *w, u64 gpa)
{
	return mix(w->seed ^ 2, gpa) % 32 != 0;
}

static u64 drawn_entry(const struct world *w, u64 gpa, unsigned int size)
{
	u64 dice = mix(w->seed, gpa);
	u64 val = mix(dice, 2);
	u64 addr = val & ((1ull << w->ctx.maxphyaddr) - 1) & ~0xfffull;

	/* Aligned for any page, else large ones are hardly ever valid. */
	if (percent(&dice, 60))
		addr &= ~0x3fffe000ull;
	val = addr | (val & 0xe18);
	val |= percent(&dice, 95) ? P : 0;
	val |= percent(&dice, 80) ? RW : 0;
	val |= percent(&dice, 70) ? US : 0;
	val |= percent(&dice, 50) ? A : 0;
	val |= percent(&dice, 50) ? D : 0;
	val |= percent(&dice, 20) ? PS : 0;
	val |= percent(&dice, 20) ? 0x100 : 0;
	if (size == 4)
		return (u32)val;
	val |= percent(&dice, 8) ? XD : 0;
	val |= percent(&dice, 50) ? (mix(dice, 3) & 0xf) << 59 : 0;
	val |= percent(&dice, 5) ? 1ull << (dice >> 8) % 64 : 0;
	/* PAE: bits 62 to the width are reserved, spare most of them. */
	if (!(w->ctx.efer & EFER_LMA) && percent(&dice, 95))
		val &= XD | ((1ull << w->ctx.maxphyaddr) - 1);
	/* As PDPTE in memory: bits 1, 2 and 5 to 8. */
	if (!(w->ctx.efer & EFER_LMA) && gpa >> 12 == w->ctx.cr3 >> 12 &&
	    percent(&dice, 80))
		val &= ~0x80000000000001e6ull;
	return val;
}

static u64 world_entry(const struct world *w, u64 gpa, unsigned int size)
{
	unsigned int i;

	for (i = w->nr_writes; i-- > 0; )
		if (w->writes[i].gpa == gpa)
			return w->writes[i].val;
	return drawn_entry(w, gpa, size);
}

static int world_read(void *priv, u64 gpa, unsigned int size, u64 *val)
{
	struct world *w = priv;

	if (gpa % size || gpa >> w->ctx.maxphyaddr)
		w->misaligned = true;
	if (!is_backed(w, gpa))
		return -EFAULT;
	*val = world_entry(w, gpa, size);
	return 0;
}

static int world_cmpxchg(void *priv, u64 gpa, unsigned int size, u64 old,
			 u64 new)
{
	struct world *w = priv;

	if (gpa % size)
		w->misaligned = true;
	if (!is_writable(w, gpa))
		return -EROFS;
	/* A table that contains itself: changed one level higher. */
	if (world_entry(w, gpa, size) != old)
		return -EAGAIN;
	w->writes[w->nr_writes].gpa = gpa;
	w->writes[w->nr_writes++].val = new;
	return 0;
}

static const struct gwalk_ops world_ops = {
	.read = world_read,
	.replace = world_cmpxchg,
};

/* --- The model ------------------------------------------------------------------ */

/*
 * One function for each table or list of the manual's chapter "Paging", in its
 * order and its words. Entries are named as there.
 */
enum entry_kind {
	PDE_4M, PDE_32, PTE_32,
	PDPTE_PAE, PDE_PAE, PDE_2M_PAE, PTE_PAE,
	PML5E, PML4E, PDPTE, PDPTE_1G, PDE, PDE_2M, PTE,
};

static bool bit(u64 val, unsigned int n)
{
	return val >> n & 1;
}

/* "Use of ...": the tables "Format of a ... Entry", bit by bit. */
static bool bit_is_reserved(const struct world *w, enum entry_kind kind,
			    unsigned int n)
{
	unsigned int m = w->ctx.maxphyaddr;

	switch (kind) {
	case PDE_32:
	case PTE_32:
		return false;
	case PDE_4M:
		if (n < 13 || n > 21)
			return false;
		if (!w->ctx.pse36)
			return true;
		/* (M-20):13 are the address, 21:(M-19) must be 0 */
		return n >= (m < 40 ? m : 40) - 19;
	default:
		break;
	}

	if (n == 63) {
		if (kind == PDPTE_PAE)
			return true;
		return !(w->ctx.efer & EFER_NXE);
	}
	if (n >= 52) {
		switch (kind) {
		case PDPTE_PAE:
		case PDE_PAE:
		case PDE_2M_PAE:
		case PTE_PAE:
			return true;
		default:
			return false;
		}
	}
	if (n >= m)
		return true;

	switch (kind) {
	case PDPTE_PAE:
		return n == 1 || n == 2 || n == 7 || n == 8 ||
		       ((n == 5 || n == 6) && !w->ctx.amd);
	case PDE_2M_PAE:
	case PDE_2M:
		return n >= 13 && n <= 20;
	case PDPTE_1G:
		return n >= 13 && n <= 29;
	case PML5E:
	case PML4E:
		return n == 7 || (n == 8 && w->ctx.amd);
	case PDPTE:
		return n == 7;
	default:
		return false;
	}
}

static bool any_reserved(const struct world *w, enum entry_kind kind, u64 val)
{
	while (val) {
		unsigned int n = __builtin_ctzll(val);

		if (bit_is_reserved(w, kind, n))
			return true;
		val &= val - 1;
	}
	return false;
}

struct model {
	const struct world *w;
	u64 la;
	u32 access;
	bool user_access;

	unsigned int n;
	struct {
		u64 gpa;
		u64 val;
	} used[5];

	/* What comes out. */
	int ret;
	u32 error_code;
	u64 gpa;
	u64 page_size;
	bool r_w, u_s, xd;
	u8 key;
};

/* "Page-Fault Exceptions", figure "Page-Fault Error Code". */
static void model_fault(struct model *m, bool present, bool rsvd, bool pk)
{
	const struct gwalk_ctx *c = &m->w->ctx;
	bool fetch = m->access & GWALK_FETCH;

	m->ret = -EINVAL;
	m->error_code = 0;
	if (present)
		m->error_code += 1;
	if (m->access & GWALK_WRITE)
		m->error_code += 2;
	if (m->user_access)
		m->error_code += 4;
	if (rsvd)
		m->error_code += 8;
	if (fetch && ((c->cr4 & X86_CR4_SMEP) ||
		      ((c->cr4 & X86_CR4_PAE) && (c->efer & EFER_NXE))))
		m->error_code += 16;
	if (pk)
		m->error_code += 32;
}

/* Read one entry; false when the walk ends with it. */
static bool model_entry(struct model *m, u64 gpa, unsigned int size, u64 *val)
{
	if (!is_backed(m->w, gpa)) {
		m->ret = -EFAULT;
		return false;
	}
	*val = drawn_entry(m->w, gpa, size);
	if (!bit(*val, 0)) {
		model_fault(m, false, false, false);
		return false;
	}
	return true;
}

static bool model_check(struct model *m, enum entry_kind kind, u64 gpa, u64 val)
{
	if (any_reserved(m->w, kind, val)) {
		model_fault(m, true, true, false);
		return false;
	}
	m->used[m->n].gpa = gpa;
	m->used[m->n++].val = val;
	m->r_w = m->r_w && bit(val, 1);
	m->u_s = m->u_s && bit(val, 2);
	if (kind > PTE_32)
		m->xd = m->xd || bit(val, 63);
	return true;
}

static u64 field(u64 val, unsigned int hi, unsigned int lo)
{
	return (val >> lo) & ((2ull << (hi - lo)) - 1);
}

/* "32-Bit Paging" */
static bool model_32bit(struct model *m)
{
	const struct gwalk_ctx *c = &m->w->ctx;
	u64 gpa = field(c->cr3, 31, 12) << 12 | field(m->la, 31, 22) << 2;
	u64 pde, pte;

	if (!model_entry(m, gpa, 4, &pde))
		return false;
	if ((c->cr4 & X86_CR4_PSE) && bit(pde, 7)) {
		if (!model_check(m, PDE_4M, gpa, pde))
			return false;
		m->page_size = 4 << 20;
		m->gpa = field(pde, 31, 22) << 22 | field(m->la, 21, 0);
		if (c->pse36)
			m->gpa |= field(pde, 20, 13) << 32;
		return true;
	}
	if (!model_check(m, PDE_32, gpa, pde))
		return false;
	gpa = field(pde, 31, 12) << 12 | field(m->la, 21, 12) << 2;
	if (!model_entry(m, gpa, 4, &pte) || !model_check(m, PTE_32, gpa, pte))
		return false;
	m->page_size = 4096;
	m->gpa = field(pte, 31, 12) << 12 | field(m->la, 11, 0);
	return true;
}

/* "PAE Paging" */
static bool model_pae(struct model *m)
{
	const struct gwalk_ctx *c = &m->w->ctx;
	unsigned int i = field(m->la, 31, 30);
	u64 pdpte, pde, pte, gpa;

	if (c->pdptrs) {
		pdpte = c->pdptrs[i];
		if (!bit(pdpte, 0)) {
			model_fault(m, false, false, false);
			return false;
		}
	} else {
		gpa = field(c->cr3, 31, 5) << 5 | i << 3;
		if (!model_entry(m, gpa, 8, &pdpte))
			return false;
		if (any_reserved(m->w, PDPTE_PAE, pdpte)) {
			model_fault(m, true, true, false);
			return false;
		}
	}
	gpa = field(pdpte, 51, 12) << 12 | field(m->la, 29, 21) << 3;
	if (!model_entry(m, gpa, 8, &pde))
		return false;
	if (bit(pde, 7)) {
		if (!model_check(m, PDE_2M_PAE, gpa, pde))
			return false;
		m->page_size = 2 << 20;
		m->gpa = field(pde, 51, 21) << 21 | field(m->la, 20, 0);
		return true;
	}
	if (!model_check(m, PDE_PAE, gpa, pde))
		return false;
	gpa = field(pde, 51, 12) << 12 | field(m->la, 20, 12) << 3;
	if (!model_entry(m, gpa, 8, &pte) || !model_check(m, PTE_PAE, gpa, pte))
		return false;
	m->page_size = 4096;
	m->gpa = field(pte, 51, 12) << 12 | field(m->la, 11, 0);
	return true;
}

/* "4-Level Paging and 5-Level Paging" */
static bool model_long(struct model *m)
{
	const struct gwalk_ctx *c = &m->w->ctx;
	u64 table = field(c->cr3, 51, 12) << 12;
	u64 gpa, e;

	if (c->cr4 & X86_CR4_LA57) {
		gpa = table | field(m->la, 56, 48) << 3;
		if (!model_entry(m, gpa, 8, &e) ||
		    !model_check(m, PML5E, gpa, e))
			return false;
		table = field(e, 51, 12) << 12;
	}
	gpa = table | field(m->la, 47, 39) << 3;
	if (!model_entry(m, gpa, 8, &e) || !model_check(m, PML4E, gpa, e))
		return false;

	gpa = field(e, 51, 12) << 12 | field(m->la, 38, 30) << 3;
	if (!model_entry(m, gpa, 8, &e))
		return false;
	if (bit(e, 7) && c->gbpages) {
		if (!model_check(m, PDPTE_1G, gpa, e))
			return false;
		m->page_size = 1 << 30;
		m->gpa = field(e, 51, 30) << 30 | field(m->la, 29, 0);
		m->key = field(e, 62, 59);
		return true;
	}
	if (!model_check(m, PDPTE, gpa, e))
		return false;

	gpa = field(e, 51, 12) << 12 | field(m->la, 29, 21) << 3;
	if (!model_entry(m, gpa, 8, &e))
		return false;
	if (bit(e, 7)) {
		if (!model_check(m, PDE_2M, gpa, e))
			return false;
		m->page_size = 2 << 20;
		m->gpa = field(e, 51, 21) << 21 | field(m->la, 20, 0);
		m->key = field(e, 62, 59);
		return true;
	}
	if (!model_check(m, PDE, gpa, e))
		return false;

	gpa = field(e, 51, 12) << 12 | field(m->la, 20, 12) << 3;
	if (!model_entry(m, gpa, 8, &e) || !model_check(m, PTE, gpa, e))
		return false;
	m->page_size = 4096;
	m->gpa = field(e, 51, 12) << 12 | field(m->la, 11, 0);
	m->key = field(e, 62, 59);
	return true;
}

/* "Protection Keys": does PKRU stand against the access? */
static bool model_pk(const struct model *m)
{
	const struct gwalk_ctx *c = &m->w->ctx;
	bool ad = bit(c->pkru, 2 * m->key);
	bool wd = bit(c->pkru, 2 * m->key + 1);

	if (!(c->cr4 & X86_CR4_PKE) || !(c->efer & EFER_LMA))
		return false;
	if (!m->u_s || (m->access & GWALK_FETCH))
		return false;
	if (ad)
		return true;
	return wd && (m->access & GWALK_WRITE) &&
	       (m->user_access || (c->cr0 & X86_CR0_WP));
}

/* "Determination of Access Rights": the list for supervisor-mode accesses. */
static bool model_supervisor(const struct model *m)
{
	const struct gwalk_ctx *c = &m->w->ctx;
	bool explicit = !(m->access & GWALK_IMPLICIT);
	bool wp = c->cr0 & X86_CR0_WP;
	bool smap = c->cr4 & X86_CR4_SMAP;
	bool smep = c->cr4 & X86_CR4_SMEP;
	bool nxe = (c->efer & EFER_NXE) && (c->cr4 & X86_CR4_PAE);

	if (m->access & GWALK_FETCH) {
		/* from supervisor-mode addresses */
		if (!m->u_s)
			return !nxe || !m->xd;
		/* from user-mode addresses */
		return !smep && (!nxe || !m->xd);
	}
	if (!(m->access & GWALK_WRITE)) {
		/* reads */
		if (!m->u_s)
			return true;
		return !smap || (explicit && c->ac);
	}
	/* writes to supervisor-mode addresses */
	if (!m->u_s)
		return !wp || m->r_w;
	/* writes to user-mode addresses */
	if (!wp)
		return !smap || (explicit && c->ac);
	return m->r_w && (!smap || (explicit && c->ac));
}

/* The same for user-mode accesses. */
static bool model_user(const struct model *m)
{
	const struct gwalk_ctx *c = &m->w->ctx;
	bool nxe = (c->efer & EFER_NXE) && (c->cr4 & X86_CR4_PAE);

	if (!m->u_s)
		return false;
	if (m->access & GWALK_FETCH)
		return !nxe || !m->xd;
	if (m->access & GWALK_WRITE)
		return m->r_w;
	return true;
}

static bool sign_extends(u64 la, unsigned int top)
{
	unsigned int n;

	for (n = top; n < 64; n++)
		if (bit(la, n) != bit(la, top))
			return false;
	return true;
}

static void model_translate(struct model *m, const struct world *w, u64 la,
			    u32 access)
{
	const struct gwalk_ctx *c = &w->ctx;
	bool ok;

	memset(m, 0, sizeof(*m));
	m->w = w;
	m->la = c->efer & EFER_LMA ? la : la & 0xffffffff;
	m->access = access;
	m->user_access = c->cpl == 3 && !(access & GWALK_IMPLICIT);
	m->r_w = m->u_s = true;

	if (c->efer & EFER_LMA) {
		if (!sign_extends(la, c->cr4 & X86_CR4_LA57 ? 56 : 47)) {
			m->ret = -EINVAL;
			m->error_code = ~0;	/* #GP, not #PF */
			return;
		}
		ok = model_long(m);
	} else if (c->cr4 & X86_CR4_PAE) {
		ok = model_pae(m);
	} else {
		ok = model_32bit(m);
	}
	if (!ok)
		return;
	if (!(m->user_access ? model_user(m) : model_supervisor(m)) ||
	    model_pk(m))
		model_fault(m, true, false, model_pk(m));
}

/* --- Comparison ------------------------------------------------------------------- */

static void random_world(struct world *w)
{
	static const u8 widths[] = { 32, 36, 39, 40, 41, 46, 48, 51, 52 };
	struct gwalk_ctx *c = &w->ctx;
	unsigned int i;

	memset(w, 0, sizeof(*w));
	w->seed = rnd();
	c->ops = &world_ops;
	c->priv = w;
	c->cr0 = X86_CR0_PG | X86_CR0_PE | (rnd_percent(60) ? X86_CR0_WP : 0);
	c->maxphyaddr = RND_PICK(widths);
	c->cr3 = rnd() & ((1ull << c->maxphyaddr) - 1);
	c->pse36 = rnd_percent(50);
	c->gbpages = rnd_percent(70);
	c->amd = rnd_percent(30);
	c->ac = rnd_percent(50);
	c->cpl = rnd_below(4);
	c->pkru = rnd() & rnd();
	c->cr4 |= rnd_percent(50) ? X86_CR4_PSE : 0;
	c->cr4 |= rnd_percent(40) ? X86_CR4_SMEP : 0;
	c->cr4 |= rnd_percent(40) ? X86_CR4_SMAP : 0;
	c->cr4 |= rnd_percent(50) ? X86_CR4_PKE : 0;
	c->cr4 |= rnd_percent(50) ? X86_CR4_LA57 : 0;
	/* Flags that have no meaning in a mode are random in it too. */
	c->efer |= rnd_percent(85) ? EFER_NXE : 0;
	if (rnd_percent(70))
		c->cr4 |= X86_CR4_PAE;
	if (c->cr4 & X86_CR4_PAE && rnd_percent(65))
		c->efer |= EFER_LMA;
	if (rnd_percent(50)) {
		for (i = 0; i < 4; i++)
			w->pdptrs[i] = (rnd() & ((1ull << c->maxphyaddr) - 1) &
					~0xfffull) | rnd_percent(90);
		c->pdptrs = w->pdptrs;
	}
}

static u64 random_la(const struct world *w)
{
	unsigned int width = !(w->ctx.efer & EFER_LMA) ? 32 :
			     w->ctx.cr4 & X86_CR4_LA57 ? 57 : 48;
	u64 la = rnd();

	if (rnd_percent(3))
		return la;
	return (long long)(la << (64 - width)) >> (64 - width);
}

static bool same(const struct world *w, const struct model *m, int ret,
		 const struct gwalk_result *r)
{
	if (ret != m->ret || w->misaligned)
		return false;
	if (ret == -EINVAL && m->error_code == ~0u)
		return r->fault.vector == X86_VEC_GP && r->fault.has_error_code &&
		       r->fault.error_code == 0;
	if (ret == -EINVAL)
		return r->fault.vector == X86_VEC_PF && r->fault.has_error_code &&
		       r->fault.error_code == m->error_code &&
		       r->fault.address == m->la;
	if (ret)
		return true;
	return r->gpa == m->gpa && r->page_size == m->page_size &&
	       r->writable == m->r_w && r->user == m->u_s && r->nx == m->xd &&
	       r->pkey == m->key;
}

/* "Accessed and Dirty Flags": all that was written, and nothing else. */
static bool same_writes(const struct world *w, struct model *m)
{
	unsigned int i, k = 0;

	if (m->ret)
		return w->nr_writes == 0;
	for (i = 0; i < m->n; i++) {
		u64 old = m->used[i].val, val;
		unsigned int j;

		/* The same entry can serve for two levels. */
		for (j = 0; j < k; j++)
			if (w->writes[j].gpa == m->used[i].gpa)
				old = w->writes[j].val;
		val = old | 1 << 5;
		if (i == m->n - 1 && (m->access & GWALK_WRITE))
			val |= 1 << 6;
		if (val == old)
			continue;
		if (!is_writable(w, m->used[i].gpa)) {
			m->ret = -EROFS;
			break;
		}
		if (k == w->nr_writes || w->writes[k].gpa != m->used[i].gpa ||
		    w->writes[k].val != val)
			return false;
		k++;
	}
	return k == w->nr_writes;
}

static unsigned int mode_of(const struct gwalk_ctx *c)
{
	if (c->efer & EFER_LMA)
		return c->cr4 & X86_CR4_LA57 ? 4 : 3;
	if (c->cr4 & X86_CR4_PAE)
		return c->pdptrs ? 2 : 1;
	return 0;
}

TEST(random_tables)
{
	static const char *const mode_name[] = {
		"32-bit", "PAE, PDPTEs in memory", "PAE, PDPTE registers",
		"4-level", "5-level",
	};
	static const u32 accesses[] = {
		0, GWALK_WRITE, GWALK_FETCH, GWALK_IMPLICIT,
		GWALK_IMPLICIT | GWALK_WRITE,
	};
	unsigned long i, cases = rnd_cases(1000000);
	unsigned long good[5] = { 0 }, fault[5] = { 0 }, refused[5] = { 0 };
	unsigned long codes[64] = { 0 };
	unsigned int bad = 0, k;
	struct world w;

	rnd_seed(1);
	for (i = 0; rnd_more(i, cases) && bad < 10; i++) {
		u32 access = RND_PICK(accesses);
		struct gwalk_result res;
		struct model m;
		bool agree;
		u64 la;
		int ret;

		random_world(&w);
		la = random_la(&w);
		model_translate(&m, &w, la, access);
		ret = gwalk(&w.ctx, la, access, &res);
		agree = same_writes(&w, &m) && same(&w, &m, ret, &res);

		k = mode_of(&w.ctx);
		good[k] += !ret;
		fault[k] += ret == -EINVAL;
		refused[k] += ret && ret != -EINVAL;
		if (ret == -EINVAL)
			codes[res.fault.error_code & 63]++;
		if (agree)
			continue;
		bad++;
		diag("%s, width %u: la %llx access %x cr0 %llx cr3 %llx cr4 %llx efer %llx pkru %x cpl %u",
		     mode_name[k], w.ctx.maxphyaddr, la, access, w.ctx.cr0,
		     w.ctx.cr3, w.ctx.cr4, w.ctx.efer, w.ctx.pkru, w.ctx.cpl);
		diag("  model %d, code %x, gpa %llx; gwalk %d, #%u, code %x, gpa %llx, %u writes",
		     m.ret, m.error_code, m.gpa, ret, res.fault.vector,
		     res.fault.error_code, res.gpa, w.nr_writes);
		for (k = 0; k < m.n; k++)
			diag("  entry %llx: %llx", m.used[k].gpa, m.used[k].val);
	}
	for (k = 0; k < 5; k++)
		diag("%s: %lu translated, %lu faults, %lu refused",
		     mode_name[k], good[k], fault[k], refused[k]);
	for (k = 0; k < 64; k++)
		if (codes[k])
			diag("  error code %02x: %lu", k, codes[k]);
	EXPECT_EQ(0, bad);
}

/* --- Rules -------------------------------------------------------------------------- */

/*
 * Hand-written tables: the one at 0x1000 is the root, the next 0x2000 and so
 * on; the page is at 0x40000000. Entry 1 of the top level leads to entry 2 of
 * the next, and so on. With @levels = 4 this is LA.
 */
#define LA	((1ull << 39) | (2ull << 30) | (3ull << 21) | (4ull << 12) | 0x567)
#define LA32	((1ull << 22) | (2ull << 12) | 0x567)
#define LAPAE	((1ull << 30) | (2ull << 21) | (3ull << 12) | 0x567)

struct tables {
	unsigned int nr;
	struct {
		u64 gpa;
		u64 val;
		bool readonly;
	} e[8];
	/* The next cmpxchg finds that another CPU was faster. */
	unsigned int races;
	u64 race_or;
	unsigned int cmpxchgs;
};

static int tables_read(void *priv, u64 gpa, unsigned int size, u64 *val)
{
	struct tables *t = priv;
	unsigned int i;

	for (i = 0; i < t->nr; i++) {
		if (t->e[i].gpa != gpa)
			continue;
		*val = t->e[i].val;
		return 0;
	}
	return -EFAULT;
}

static int tables_cmpxchg(void *priv, u64 gpa, unsigned int size, u64 old,
			  u64 new)
{
	struct tables *t = priv;
	unsigned int i;

	t->cmpxchgs++;
	for (i = 0; i < t->nr; i++) {
		if (t->e[i].gpa != gpa)
			continue;
		if (t->e[i].readonly)
			return -EROFS;
		if (t->races) {
			t->races--;
			t->e[i].val |= t->race_or;
			return -EAGAIN;
		}
		if (t->e[i].val != old)
			return -EAGAIN;
		t->e[i].val = new;
		return 0;
	}
	return -EFAULT;
}

static const struct gwalk_ops tables_ops = {
	.read = tables_read,
	.replace = tables_cmpxchg,
};

static const struct gwalk_ops tables_peek_ops = {
	.read = tables_read,
};

/* 4-level tables for LA with these entries; 0 ends them (a large page). */
static void tables_long(struct tables *t, u64 pml4e, u64 pdpte, u64 pde,
			u64 pte)
{
	const u64 flags[4] = { pml4e, pdpte, pde, pte };
	unsigned int i;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < 4; i++) {
		bool leaf = i == 3 || (i && flags[i] & PS);

		t->e[i].gpa = 0x1000 * (i + 1) + 8 * (i + 1);
		t->e[i].val = flags[i] | (leaf ? 0x40000000 : 0x1000 * (i + 2));
		t->nr = i + 1;
		if (leaf)
			break;
	}
}

static void ctx_long(struct gwalk_ctx *c, struct tables *t)
{
	*c = (struct gwalk_ctx) {
		.ops = &tables_ops,
		.priv = t,
		.cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_WP,
		.cr3 = 0x1000,
		.cr4 = X86_CR4_PAE,
		.efer = EFER_LMA | EFER_NXE,
		.maxphyaddr = 40,
		.gbpages = true,
	};
}

#define T	(P | RW | US)	/* a table that permits everything */
#define WP0	1		/* CR0.WP = 0 */
#define NXE0	2		/* EFER.NXE = 0 */
#define AC	4
#define GB0	8		/* no 1 GByte pages */
#define AMD	16
#define R_	0
#define W_	GWALK_WRITE
#define X_	GWALK_FETCH
#define IR	GWALK_IMPLICIT
#define IW	(GWALK_IMPLICIT | GWALK_WRITE)

#define KEY(k)	((u64)(k) << 59)

static const struct {
	const char *rule;
	u64 pml4e, pdpte, pde, pte;
	unsigned int how;
	u64 cr4;
	u32 pkru;
	unsigned int cpl;
	u32 access;
	int error;		/* #PF error code, or -1: it is permitted */
} rule_rows[] = {
	{ "a translation", T, T, T, T, 0, 0, 0, 3, W_, -1 },
	{ "P = 0 in PML4E", RW | US, T, T, T, 0, 0, 0, 0, R_, 0x00 },
	{ "P = 0 in PDPTE, user write", T, RW, T, T, 0, 0, 0, 3, W_, 0x06 },
	{ "P = 0 in PDE, fetch", T, T, US, T, 0, 0, 0, 0, X_, 0x10 },
	{ "P = 0 in PTE, user fetch", T, T, T, 0, 0, 0, 0, 3, X_, 0x14 },
	{ "P = 0: nothing else is reserved", T, T, T, XD | 1ull << 50, NXE0, 0, 0, 0, R_, 0x00 },

	{ "U/S = 0 in PML4E, user", P | RW, T, T, T, 0, 0, 0, 3, R_, 0x05 },
	{ "U/S = 0 in PDPTE, user", T, P | RW, T, T, 0, 0, 0, 3, R_, 0x05 },
	{ "U/S = 0 in PDE, user", T, T, P | RW, T, 0, 0, 0, 3, W_, 0x07 },
	{ "U/S = 0 in PTE, user", T, T, T, P | RW, 0, 0, 0, 3, X_, 0x15 },
	{ "CPL 1 and 2 are supervisor", T, T, T, P | RW, 0, 0, 0, 2, R_, -1 },

	{ "R/W = 0 in PML4E, user write", P | US, T, T, T, 0, 0, 0, 3, W_, 0x07 },
	{ "R/W = 0 in PTE, user write", T, T, T, P | US, 0, 0, 0, 3, W_, 0x07 },
	{ "R/W = 0 in PTE, user write, WP = 0", T, T, T, P | US, WP0, 0, 0, 3, W_, 0x07 },
	{ "R/W = 0 in PTE, user read", T, T, T, P | US, 0, 0, 0, 3, R_, -1 },
	{ "R/W = 0 in PDE, supervisor write, WP = 1", T, T, P, T, 0, 0, 0, 0, W_, 0x03 },
	{ "R/W = 0 in PDE, supervisor write, WP = 0", T, T, P, T, WP0, 0, 0, 0, W_, -1 },

	{ "XD in PML4E", T | XD, T, T, T, 0, 0, 0, 0, X_, 0x11 },
	{ "XD in PDPTE", T, T | XD, T, T, 0, 0, 0, 3, X_, 0x15 },
	{ "XD in PTE", T, T, T, T | XD, 0, 0, 0, 3, X_, 0x15 },
	{ "XD does not concern reads", T, T, T, T | XD, 0, 0, 0, 3, R_, -1 },
	{ "XD is reserved without NXE", T, T, T, T | XD, NXE0, 0, 0, 3, R_, 0x0d },
	{ "I/D needs NXE or SMEP", T, T, T, 0, NXE0, 0, 0, 0, X_, 0x00 },
	{ "I/D with SMEP alone", T, T, T, 0, NXE0, X86_CR4_SMEP, 0, 0, X_, 0x10 },

	{ "SMEP: supervisor fetch from user page", T, T, T, T, 0, X86_CR4_SMEP, 0, 0, X_, 0x11 },
	{ "SMEP: user fetch", T, T, T, T, 0, X86_CR4_SMEP, 0, 3, X_, -1 },
	{ "SMEP: supervisor page", T, T, P, T, 0, X86_CR4_SMEP, 0, 0, X_, -1 },
	{ "no SMEP: supervisor fetch from user page", T, T, T, T, 0, 0, 0, 0, X_, -1 },

	{ "SMAP: supervisor read", T, T, T, T, 0, X86_CR4_SMAP, 0, 0, R_, 0x01 },
	{ "SMAP: supervisor write", T, T, T, T, 0, X86_CR4_SMAP, 0, 0, W_, 0x03 },
	{ "SMAP: WP = 0 does not help", T, T, T, T, WP0, X86_CR4_SMAP, 0, 0, W_, 0x03 },
	{ "SMAP: AC lifts it", T, T, T, T, AC, X86_CR4_SMAP, 0, 0, W_, -1 },
	{ "SMAP: AC does not lift R/W", T, T, T, P | US, AC, X86_CR4_SMAP, 0, 0, W_, 0x03 },
	{ "SMAP: implicit, AC = 1", T, T, T, T, AC, X86_CR4_SMAP, 0, 0, IR, 0x01 },
	{ "SMAP: implicit at CPL 3, AC = 1", T, T, T, T, AC, X86_CR4_SMAP, 0, 3, IW, 0x03 },
	{ "SMAP: does not concern fetches", T, T, T, T, 0, X86_CR4_SMAP, 0, 0, X_, -1 },
	{ "SMAP: does not concern CPL 3", T, T, T, T, 0, X86_CR4_SMAP, 0, 3, W_, -1 },
	{ "SMAP: supervisor page", T, P | RW, T, T, 0, X86_CR4_SMAP, 0, 0, W_, -1 },
	{ "implicit at CPL 3 is supervisor", T, T, T, P | RW, 0, 0, 0, 3, IW, -1 },

	{ "PKU: access disable, user read", T, T, T, T | KEY(5), 0, X86_CR4_PKE, 1 << 10, 3, R_, 0x25 },
	{ "PKU: access disable, supervisor read", T, T, T, T | KEY(5), 0, X86_CR4_PKE, 1 << 10, 0, R_, 0x21 },
	{ "PKU: access disable, fetch", T, T, T, T | KEY(5), 0, X86_CR4_PKE, 1 << 10, 3, X_, -1 },
	{ "PKU: write disable, user write", T, T, T, T | KEY(5), 0, X86_CR4_PKE, 2 << 10, 3, W_, 0x27 },
	{ "PKU: write disable, read", T, T, T, T | KEY(5), 0, X86_CR4_PKE, 2 << 10, 3, R_, -1 },
	{ "PKU: write disable, supervisor, WP = 1", T, T, T, T | KEY(5), 0, X86_CR4_PKE, 2 << 10, 0, W_, 0x23 },
	{ "PKU: write disable, supervisor, WP = 0", T, T, T, T | KEY(5), WP0, X86_CR4_PKE, 2 << 10, 0, W_, -1 },
	{ "PKU: write disable, user, WP = 0", T, T, T, T | KEY(5), WP0, X86_CR4_PKE, 2 << 10, 3, W_, 0x27 },
	{ "PKU: supervisor page", T, T, T, P | RW | KEY(5), 0, X86_CR4_PKE, 3 << 10, 0, W_, -1 },
	{ "PKU: another key", T, T, T, T | KEY(4), 0, X86_CR4_PKE, 3 << 10, 3, W_, -1 },
	{ "PKU: key 15", T, T, T, T | KEY(15), 0, X86_CR4_PKE, 1u << 30, 3, R_, 0x25 },
	{ "PKU: without CR4.PKE", T, T, T, T | KEY(5), 0, 0, 3 << 10, 3, W_, -1 },
	{ "PKU: key of the page, not of a table", T, T, T | KEY(5), T, 0, X86_CR4_PKE, 3 << 10, 3, W_, -1 },
	{ "PKU: PK beside another reason", T, T, T, P | US | KEY(5), 0, X86_CR4_PKE, 3 << 10, 3, W_, 0x27 },
	{ "PKU: none for a reserved bit", T, T, T, T | KEY(5) | 1ull << 40, 0, X86_CR4_PKE, 3 << 10, 3, W_, 0x0f },

	{ "reserved: PS in PML4E", T | PS, T, T, T, 0, 0, 0, 0, R_, 0x09 },
	{ "reserved: bit 8 of PML4E, AMD", T | 0x100, T, T, T, AMD, 0, 0, 0, R_, 0x09 },
	{ "ignored: bit 8 of PML4E, Intel", T | 0x100, T, T, T, 0, 0, 0, 0, R_, -1 },
	{ "ignored: bit 8 of PDE, AMD", T, T, T | 0x100, T, AMD, 0, 0, 0, R_, -1 },
	{ "reserved: address above the width", T, T | 1ull << 40, T, T, 0, 0, 0, 0, R_, 0x09 },
	{ "reserved: bit 51", T, T, T, T | 1ull << 51, 0, 0, 0, 0, W_, 0x0b },
	{ "ignored: bits 58 to 52", T, T, T, T | 0x7full << 52, 0, 0, 0, 0, W_, -1 },
	{ "reserved before permissions", P, T, T, T | 1ull << 51, 0, 0, 0, 3, W_, 0x0f },
	{ "the upper level first", T | 1ull << 51, 0, T, T, 0, 0, 0, 0, R_, 0x09 },
	{ "1 GByte page", T, T | PS, 0, 0, 0, 0, 0, 0, W_, -1 },
	{ "1 GByte page, reserved bit 29", T, T | PS | 1 << 29, 0, 0, 0, 0, 0, 0, R_, 0x09 },
	{ "1 GByte page, reserved bit 13", T, T | PS | 1 << 13, 0, 0, 0, 0, 0, 0, R_, 0x09 },
	{ "1 GByte page, bit 12 is PAT", T, T | PS | 1 << 12, 0, 0, 0, 0, 0, 0, R_, -1 },
	{ "1 GByte page, not supported", T, T | PS, 0, 0, GB0, 0, 0, 0, R_, 0x09 },
	{ "2 MByte page", T, T, T | PS, 0, GB0, 0, 0, 0, W_, -1 },
	{ "2 MByte page, reserved bit 20", T, T, T | PS | 1 << 20, 0, 0, 0, 0, 0, R_, 0x09 },
	{ "2 MByte page, bit 12 is PAT", T, T, T | PS | 1 << 12, 0, 0, 0, 0, 0, R_, -1 },
	{ "4 KByte page, bit 7 is PAT", T, T, T, T | PS, 0, 0, 0, 0, R_, -1 },
};

TEST(rules)
{
	struct gwalk_result res;
	struct gwalk_ctx ctx;
	struct tables t, before;
	unsigned int i, k;
	u64 size;

	for (i = 0; i < ARRAY_LEN(rule_rows); i++) {
		int ret;

		tables_long(&t, rule_rows[i].pml4e, rule_rows[i].pdpte, rule_rows[i].pde,
			    rule_rows[i].pte);
		before = t;
		ctx_long(&ctx, &t);
		ctx.cr4 |= rule_rows[i].cr4;
		ctx.pkru = rule_rows[i].pkru;
		ctx.cpl = rule_rows[i].cpl;
		ctx.ac = rule_rows[i].how & AC;
		ctx.amd = rule_rows[i].how & AMD;
		ctx.gbpages = !(rule_rows[i].how & GB0);
		if (rule_rows[i].how & WP0)
			ctx.cr0 &= ~X86_CR0_WP;
		if (rule_rows[i].how & NXE0)
			ctx.efer &= ~EFER_NXE;

		ret = gwalk(&ctx, LA, rule_rows[i].access, &res);
		if (rule_rows[i].error >= 0) {
			EXPECT_EQ(-EINVAL, ret)
				TH_LOG("%s", rule_rows[i].rule);
			EXPECT_EQ(X86_VEC_PF, res.fault.vector);
			EXPECT_EQ(rule_rows[i].error, res.fault.error_code)
				TH_LOG("%s", rule_rows[i].rule);
			EXPECT_EQ(LA, res.fault.address);
			/* A fault changes nothing. */
			EXPECT_EQ(0, memcmp(&before, &t, sizeof(t)))
				TH_LOG("%s", rule_rows[i].rule);
			continue;
		}
		EXPECT_EQ(0, ret)
			TH_LOG("%s: error code %x", rule_rows[i].rule,
			       res.fault.error_code);
		size = 1ull << (12 + 9 * (4 - t.nr));
		EXPECT_EQ(size, res.page_size)
			TH_LOG("%s", rule_rows[i].rule);
		EXPECT_EQ(0x40000000 + (LA & (size - 1)), res.gpa)
			TH_LOG("%s", rule_rows[i].rule);
		for (k = 0; k < t.nr; k++)
			EXPECT_EQ(before.e[k].val | A |
				  (k == t.nr - 1 && rule_rows[i].access & GWALK_WRITE ?
				   D : 0), t.e[k].val)
				TH_LOG("%s, level %u", rule_rows[i].rule, k);
	}
}

TEST(no_paging)
{
	struct gwalk_result res;
	struct gwalk_ctx ctx = { .cr0 = X86_CR0_PE, .cpl = 3 };

	ASSERT_EQ(0, gwalk(&ctx, 0x1fee00123, GWALK_WRITE, &res));
	EXPECT_EQ(0xfee00123, res.gpa);
	EXPECT_EQ(4096, res.page_size);
	EXPECT_TRUE(res.writable && res.user && !res.nx);
}

TEST(non_canonical)
{
	struct gwalk_result res;
	struct gwalk_ctx ctx;
	struct tables t;

	tables_long(&t, T, T, T, T);
	ctx_long(&ctx, &t);
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LA | 1ull << 47, 0, &res));
	EXPECT_EQ(X86_VEC_GP, res.fault.vector);
	EXPECT_EQ(0, res.fault.error_code);
	EXPECT_TRUE(res.fault.has_error_code);
}

TEST(paging_32bit)
{
	struct gwalk_result res;
	struct tables t = {
		.nr = 2,
		.e = { { 0x1004, 0x2000 | T }, { 0x2008, 0x40000000 | T } },
	};
	struct gwalk_ctx ctx = {
		.ops = &tables_ops,
		.priv = &t,
		.cr0 = X86_CR0_PG | X86_CR0_PE,
		.cr3 = 0x1fff,		/* bits 11:0 are not address */
		.maxphyaddr = 36,
		.cpl = 3,
	};

	ASSERT_EQ(0, gwalk(&ctx, LA32, GWALK_WRITE, &res));
	EXPECT_EQ(0x40000567, res.gpa);
	EXPECT_EQ(0x2000 | T | A, t.e[0].val);
	EXPECT_EQ(0x40000000 | T | A | D, t.e[1].val);

	/* The upper half of a linear address is not used. */
	ASSERT_EQ(0, gwalk(&ctx, LA32 | 0xdead00000000, 0, &res));
	EXPECT_EQ(0x40000567, res.gpa);

	/* PS without CR4.PSE is ignored. */
	t.e[0].val |= PS;
	ASSERT_EQ(0, gwalk(&ctx, LA32, 0, &res));
	EXPECT_EQ(0x40000567, res.gpa);

	/* With it, a 4 MByte page; bit 13 is address bit 32 of PSE-36. */
	t.e[0].val = 0x40400000 | T | PS;
	ctx.cr4 = X86_CR4_PSE;
	ASSERT_EQ(0, gwalk(&ctx, LA32, 0, &res));
	EXPECT_EQ(0x40402567, res.gpa);
	EXPECT_EQ(4 << 20, res.page_size);

	t.e[0].val |= 0xf << 13;
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LA32, 0, &res));
	EXPECT_EQ(GWALK_PF_P | GWALK_PF_US | GWALK_PF_RSVD,
		  res.fault.error_code);
	ctx.pse36 = true;
	ASSERT_EQ(0, gwalk(&ctx, LA32, 0, &res));
	EXPECT_EQ(0xf40402567, res.gpa);
	t.e[0].val |= 1 << 17;
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LA32, 0, &res));
	ctx.maxphyaddr = 52;
	ASSERT_EQ(0, gwalk(&ctx, LA32, 0, &res));
	EXPECT_EQ(0x1f40402567, res.gpa);
	t.e[0].val |= 1 << 21;		/* never an address bit */
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LA32, 0, &res));
}

TEST(paging_pae)
{
	u64 pdptrs[4] = { 0, 0x2000 | P | 0x1e6, 0, 0 };
	struct gwalk_result res;
	struct tables t = {
		.nr = 3,
		.e = {
			{ 0x1028, 0x2000 | P },
			{ 0x2010, 0x3000 | T },
			{ 0x3018, 0x40000000 | T },
		},
	};
	struct gwalk_ctx ctx = {
		.ops = &tables_ops,
		.priv = &t,
		.cr0 = X86_CR0_PG | X86_CR0_PE,
		.cr3 = 0x103f,		/* 32-byte aligned */
		.cr4 = X86_CR4_PAE,
		.maxphyaddr = 36,
		.cpl = 3,
	};

	/* PDPTE in memory: it has no accessed flag. */
	ASSERT_EQ(0, gwalk(&ctx, LAPAE, GWALK_WRITE, &res));
	EXPECT_EQ(0x40000567, res.gpa);
	EXPECT_EQ(0x2000 | P, t.e[0].val);
	EXPECT_EQ(0x3000 | T | A, t.e[1].val);
	EXPECT_EQ(0x40000000 | T | A | D, t.e[2].val);
	EXPECT_TRUE(res.user && res.writable);

	/* It has no R/W and no U/S: they are reserved. */
	t.e[0].val |= RW;
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LAPAE, 0, &res));
	EXPECT_EQ(GWALK_PF_P | GWALK_PF_US | GWALK_PF_RSVD,
		  res.fault.error_code);

	/* PDPTE register: reserved bits were checked when it was loaded. */
	ctx.pdptrs = pdptrs;
	ASSERT_EQ(0, gwalk(&ctx, LAPAE, 0, &res));
	EXPECT_EQ(0x40000567, res.gpa);
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LAPAE & 0x3fffffff, 0, &res));
	EXPECT_EQ(GWALK_PF_US, res.fault.error_code);
	EXPECT_EQ(LAPAE & 0x3fffffff, res.fault.address);

	/* 62:52 are reserved here. */
	t.e[2].val |= 1ull << 52;
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LAPAE, 0, &res));
	t.e[2].val &= ~(1ull << 52);

	/* No protection keys without long mode. */
	ctx.cr4 |= X86_CR4_PKE;
	ctx.pkru = ~0u;
	EXPECT_EQ(0, gwalk(&ctx, LAPAE, 0, &res));

	/* Execute disable without NXE is reserved, with it is checked. */
	t.e[2].val |= XD;
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LAPAE, 0, &res));
	EXPECT_EQ(GWALK_PF_P | GWALK_PF_US | GWALK_PF_RSVD,
		  res.fault.error_code);
	ctx.efer = EFER_NXE;
	EXPECT_EQ(0, gwalk(&ctx, LAPAE, 0, &res));
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LAPAE, GWALK_FETCH, &res));
	EXPECT_EQ(GWALK_PF_P | GWALK_PF_US | GWALK_PF_ID, res.fault.error_code);

	/* 2 MByte page, whatever CR4.PSE is. */
	t.e[1].val = 0x40200000 | T | PS;
	ASSERT_EQ(0, gwalk(&ctx, LAPAE, 0, &res));
	EXPECT_EQ(0x40203567, res.gpa);
	EXPECT_EQ(2 << 20, res.page_size);
}

TEST(paging_5level)
{
	struct gwalk_result res;
	struct gwalk_ctx ctx;
	struct tables t;
	u64 la = LA | 5ull << 48;

	tables_long(&t, T, T, T, T);
	t.e[t.nr].gpa = 0x5000 + 8 * 5;
	t.e[t.nr++].val = 0x1000 | T;
	ctx_long(&ctx, &t);
	ctx.cr3 = 0x5000;
	ctx.cr4 |= X86_CR4_LA57;
	ASSERT_EQ(0, gwalk(&ctx, la, 0, &res));
	EXPECT_EQ(0x40000567, res.gpa);
	EXPECT_EQ(0x1000 | T | A, t.e[4].val);

	t.e[4].val |= PS;
	EXPECT_EQ(-EINVAL, gwalk(&ctx, la, 0, &res));
	EXPECT_EQ(GWALK_PF_P | GWALK_PF_RSVD, res.fault.error_code);

	/* PML5E not present. */
	t.e[4].val = 0;
	EXPECT_EQ(-EINVAL, gwalk(&ctx, la, 0, &res));
	EXPECT_EQ(0, res.fault.error_code);

	EXPECT_EQ(-EINVAL, gwalk(&ctx, 1ull << 56, 0, &res));
	EXPECT_EQ(X86_VEC_GP, res.fault.vector);
}

TEST(result_has_page_permissions)
{
	struct gwalk_result res;
	struct gwalk_ctx ctx;
	struct tables t;

	tables_long(&t, P | US, T, T, T | KEY(9));
	ctx_long(&ctx, &t);
	ASSERT_EQ(0, gwalk(&ctx, LA, 0, &res));
	EXPECT_TRUE(!res.writable && res.user && !res.nx);
	EXPECT_EQ(9, res.pkey);

	tables_long(&t, P | RW, T, T | XD, T);
	ASSERT_EQ(0, gwalk(&ctx, LA, 0, &res));
	EXPECT_TRUE(res.writable && !res.user && res.nx);
}

TEST(accessed_and_dirty)
{
	struct gwalk_result res;
	struct gwalk_ctx ctx;
	struct tables t;
	unsigned int i;

	/* All set: no write, so read-only tables do. */
	tables_long(&t, T | A, T | A, T | A, T | A | D);
	for (i = 0; i < 4; i++)
		t.e[i].readonly = true;
	ctx_long(&ctx, &t);
	EXPECT_EQ(0, gwalk(&ctx, LA, GWALK_WRITE, &res));
	EXPECT_EQ(0, t.cmpxchgs);

	/* One missing in read-only memory. */
	t.e[3].val &= ~D;
	EXPECT_EQ(0, gwalk(&ctx, LA, 0, &res));
	EXPECT_EQ(-EROFS, gwalk(&ctx, LA, GWALK_WRITE, &res));
	t.e[1].val &= ~A;
	EXPECT_EQ(-EROFS, gwalk(&ctx, LA, 0, &res));

	/* From outside: nothing is written. */
	ctx.ops = &tables_peek_ops;
	EXPECT_EQ(0, gwalk(&ctx, LA, GWALK_WRITE, &res));

	/* Only the page's entry has a dirty flag. */
	tables_long(&t, T, T, T, T);
	ctx_long(&ctx, &t);
	EXPECT_EQ(0, gwalk(&ctx, LA, GWALK_WRITE, &res));
	EXPECT_EQ(0, t.e[2].val & D);
	EXPECT_EQ(4, t.cmpxchgs);
}

TEST(table_not_in_memory)
{
	struct gwalk_result res;
	struct gwalk_ctx ctx;
	struct tables t;

	tables_long(&t, T, T, T, T);
	t.nr = 3;
	ctx_long(&ctx, &t);
	EXPECT_EQ(-EFAULT, gwalk(&ctx, LA, 0, &res));
	/* Nothing was marked on the way. */
	EXPECT_EQ(0x2000 | T, t.e[0].val);
}

TEST(tables_change_during_the_walk)
{
	struct gwalk_result res;
	struct gwalk_ctx ctx;
	struct tables t;

	/* Another CPU sets the flag: the second walk finds it set. */
	tables_long(&t, T, T, T, T);
	ctx_long(&ctx, &t);
	t.races = 1;
	t.race_or = A;
	EXPECT_EQ(0, gwalk(&ctx, LA, GWALK_WRITE, &res));
	EXPECT_EQ(0x40000567, res.gpa);

	/* The second walk sees what the entry has become. */
	tables_long(&t, T, T, T, T);
	t.races = 1;
	t.race_or = 1ull << 51;
	EXPECT_EQ(-EINVAL, gwalk(&ctx, LA, 0, &res));
	EXPECT_EQ(GWALK_PF_P | GWALK_PF_RSVD, res.fault.error_code);

	/* Permissions do not stick from the first walk. */
	tables_long(&t, T, T, T, P | US);
	t.races = 1;
	t.race_or = XD;
	EXPECT_EQ(0, gwalk(&ctx, LA, 0, &res));
	EXPECT_TRUE(res.nx && !res.writable && res.user);

	/*
	 * A table that contains itself: the entry is used four times, and the
	 * walk is its own rival once.
	 */
	memset(&t, 0, sizeof(t));
	t.nr = 1;
	t.e[0].gpa = 0x1ff8;
	t.e[0].val = 0x1000 | T;
	EXPECT_EQ(0, gwalk(&ctx, ~0ull, GWALK_WRITE, &res));
	EXPECT_EQ(0x1fff, res.gpa);
	EXPECT_EQ(0x1000 | T | A | D, t.e[0].val);

	/* Twice: let the guest run. */
	tables_long(&t, T, T, T, T);
	t.races = 2;
	EXPECT_EQ(-EAGAIN, gwalk(&ctx, LA, 0, &res));
	EXPECT_EQ(2, t.cmpxchgs);
}

TEST_HARNESS_MAIN
