"""What people declare about a site: networks, ports, accounts, data sets, waivers. Pure: reads text, never a disk."""

from tutela.site.model import ApprovedPort, Attestation, DataSet, Site, Waiver
from tutela.site.read import read_site

__all__ = ["ApprovedPort", "Attestation", "DataSet", "Site", "Waiver", "read_site"]
